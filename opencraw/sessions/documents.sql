-- name: header
SELECT session.*,
       (SELECT entry.message_id FROM entry
         WHERE entry.session_id = session.id AND entry.seq > session.reset_seq
           AND entry.kind = 'user' AND entry.disposition <> 'summarized'
         ORDER BY entry.seq DESC LIMIT 1) AS last_user_message_id,
       (SELECT entry.message_id FROM entry
         WHERE entry.session_id = session.id AND entry.seq > session.reset_seq
           AND entry.kind = 'assistant' AND entry.message_id IS NOT NULL
         ORDER BY entry.seq DESC LIMIT 1) AS last_assistant_message_id
  FROM session
 WHERE session.id = $1 AND (session.last_seq > session.removed_seq OR session.last_seq = 0);

-- name: archived
-- Nothing waits or runs in them: what is said there brings them back.
SELECT session.id, session.channel, session.chat, session.opened_by, session.created_at,
       session.last_active_at, session.messages, session.mode, session.model, session.model_pinning,
       session.prompt_tokens, session.completion_tokens, 0 AS waiting, false AS running
  FROM session
 WHERE session.archived_at IS NOT NULL
   AND (session.last_seq > session.removed_seq OR session.last_seq = 0)
 ORDER BY session.last_active_at DESC
 LIMIT $1;

-- name: history
-- The newest $4 lines with $2 < seq < $3, newest first, each with what people were shown of it. No
-- more than have $5 bytes together, and at least one: lines are measured here, so what is too much
-- never leaves the database.
WITH newest AS (
    SELECT seq, octet_length(text) + coalesce(octet_length(tool_calls::text), 0)
                + coalesce(octet_length(thinking::text), 0) AS size
      FROM entry
     WHERE session_id = $1 AND seq > $2 AND seq < $3
     ORDER BY seq DESC
     LIMIT $4
), measured AS (
    SELECT newest.seq,
           sum(newest.size + coalesce(octet_length(outbox.text), 0))
               OVER (ORDER BY newest.seq DESC) AS total,
           row_number() OVER (ORDER BY newest.seq DESC) AS nth
      FROM newest
      LEFT JOIN outbox ON outbox.session_id = $1 AND outbox.seq = newest.seq
)
SELECT entry.seq, entry.kind, entry.text, entry.created_at AS at, entry.turn_id, entry.message_id,
       entry.disposition, entry.tool_calls::text AS tool_calls, entry.thinking::text AS thinking,
       entry.call_id, entry.tool_name, entry.failed, entry.interrupted, entry.covers, entry.items,
       turn.asked_by, turn.rights, turn.origin,
       CASE WHEN entry.kind = 'user' THEN files_of(entry.message_id, 0) END AS files,
       outbox.delivery_id, outbox.kind AS shown_as, outbox.text AS shown, outbox.tools,
       outbox.created_at AS shown_at, outbox.interrupted AS shown_in_part
  FROM measured
  JOIN entry ON entry.session_id = $1 AND entry.seq = measured.seq
  LEFT JOIN turn ON turn.id = entry.turn_id AND entry.kind = 'user'
  LEFT JOIN outbox ON outbox.session_id = entry.session_id AND outbox.seq = entry.seq
 WHERE measured.nth = 1 OR measured.total <= $5::bigint
 ORDER BY entry.seq DESC;

-- name: open_calls
-- The lines of the turn in which $2 lies, up to there, that ask for tools, and those that answer.
SELECT entry.seq, entry.kind, entry.tool_calls::text AS tool_calls, entry.call_id
  FROM entry
 WHERE entry.session_id = $1
   AND entry.turn_id = (SELECT cut.turn_id FROM entry AS cut
                         WHERE cut.session_id = $1 AND cut.seq <= $2 AND cut.turn_id IS NOT NULL
                         ORDER BY cut.seq DESC LIMIT 1)
   AND entry.seq <= $2
   AND entry.kind IN ('assistant', 'tool_result')
 ORDER BY entry.seq;

-- name: search
-- What people said and the assistant answered, newest first: lines that contain $2, given as a
-- pattern; $3 is the same as it is. Of each the surroundings of the place. $1 is one conversation, or
-- null; then every line is looked at.
SELECT entry.session_id, entry.seq, entry.kind, entry.created_at, entry.message_id,
       greatest(strpos(lower(entry.text), lower($3)), 1) AS place, length(entry.text) AS size,
       substr(entry.text, greatest(strpos(lower(entry.text), lower($3)) - $6, 1),
              length($3) + 2 * $6) AS around,
       session.channel, session.chat, session.key
  FROM (SELECT session_id, seq, created_at
          FROM entry
         WHERE kind IN ('user', 'assistant') AND text ILIKE $2 AND created_at < $4
           -- Of one conversation only its own part of the index is read.
           AND session_id BETWEEN coalesce($1::uuid, '00000000-0000-0000-0000-000000000000')
                              AND coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
         ORDER BY created_at DESC
         LIMIT $5) AS found
  JOIN entry ON entry.session_id = found.session_id AND entry.seq = found.seq
  JOIN session ON session.id = found.session_id
 WHERE found.seq > session.removed_seq
 ORDER BY found.created_at DESC;
