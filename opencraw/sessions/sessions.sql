-- name: transcript
-- What prompts show of a conversation, with its newest lines after $2, newest first, and the entry
-- that sums up what came before unless that was read already. Of a text longer than $4 characters
-- only so much of its beginning and its end is read: no window shows more. A conversation without
-- such lines is one row without a `seq`. A line that stands for several has no speaker, and the
-- rights of the turn that took it up.
WITH here AS (
    SELECT id, greatest(reset_seq, begin_seq) AS begin_seq, begin_seq > reset_seq AS left_out,
           CASE WHEN checkpoint_seq > reset_seq THEN checkpoint_seq ELSE 0 END AS checkpoint_seq,
           pruned_seq, flushed_seq, compaction_wanted, fence, chat_type
      FROM session
     WHERE id = $1
), shown AS (
    (SELECT entry.*
       FROM entry
      WHERE entry.session_id = $1 AND entry.seq > greatest($2, (SELECT begin_seq FROM here))
        AND entry.kind <> 'notice'
      ORDER BY entry.seq DESC
      LIMIT $3)
     UNION ALL
    SELECT entry.*
      FROM entry, here
     WHERE entry.session_id = $1 AND entry.seq = here.checkpoint_seq
       AND here.checkpoint_seq > $2 AND here.checkpoint_seq <= here.begin_seq
)
SELECT shown.seq, shown.kind, left(shown.text, $4) AS text,
       CASE WHEN length(shown.text) > $4 THEN right(shown.text, $4) ELSE '' END AS tail,
       length(shown.text) AS size, shown.turn_id, shown.created_at AS at, shown.disposition,
       shown.tool_calls::text AS tool_calls, shown.thinking::text AS thinking, shown.call_id,
       shown.tool_name, shown.failed, shown.interrupted, shown.covers, shown.items,
       speaker_of(inbox.sender_name, inbox.sender_id) AS speaker,
       CASE shown.disposition
           WHEN 'summarized' THEN (SELECT turn.rights FROM turn WHERE turn.id = shown.turn_id)
           ELSE coalesce(inbox.rights, '') END AS rights,
       -- Nearly no line has files, and a function costs more than a look.
       CASE WHEN EXISTS (SELECT FROM attachment
                          WHERE shown.kind = 'user' AND attachment.message_id = shown.message_id)
            THEN files_of(shown.message_id, $4) END AS files,
       here.begin_seq, here.left_out, here.checkpoint_seq, here.pruned_seq, here.flushed_seq,
       here.compaction_wanted, here.fence, here.chat_type
  FROM here
  LEFT JOIN shown ON true
  -- The limit keeps the planner from reading the whole table once instead of one row for each line.
  LEFT JOIN LATERAL (SELECT sender_name, sender_id, rights FROM inbox
                      WHERE inbox.message_id = shown.message_id AND shown.kind = 'user'
                      LIMIT 1) AS inbox ON true
 ORDER BY shown.seq DESC;

-- name: lines
-- A conversation as people see it: what they said, and what was delivered to them. Newest first.
-- Where $5, hooks have a say in what is sent, and what was never attempted is not shown. What comes
-- after it waits for it if it goes out on the reader's channel, $6: readers are given lines in their
-- order, and would not get this one any more. Other channels may be away for long.
WITH looked_at AS (
    SELECT min(seq) AS seq
      FROM outbox
     WHERE $5::boolean AND session_id = $1 AND channel = $6::text
       AND state = 'pending' AND attempts = 0
)
(SELECT entry.seq, 'said' AS kind, entry.text, entry.created_at AS at, entry.message_id,
        entry.turn_id, '{}'::text[] AS tools, false AS interrupted,
        coalesce(inbox.dedupe_key, '') AS dedupe_key, files_of(entry.message_id, 0) AS files,
        NULL AS choice
   FROM entry
   LEFT JOIN inbox ON inbox.message_id = entry.message_id
  WHERE entry.session_id = $1 AND entry.kind = 'user' AND entry.disposition <> 'summarized'
    AND entry.seq > $2 AND entry.seq < least($3, (SELECT seq FROM looked_at))
  ORDER BY entry.seq DESC
  LIMIT $4)
UNION ALL
(SELECT seq, kind, text, created_at, delivery_id, turn_id, tools, interrupted, '', NULL,
        (SELECT jsonb_build_object('id', choice.id, 'options', choice.options)::text
           FROM choice
          WHERE choice.id = outbox.choice_id AND decided IS NULL AND expires_at > now())
   FROM outbox
  WHERE session_id = $1 AND seq > $2 AND seq < least($3, (SELECT seq FROM looked_at))
    AND NOT ($5 AND state = 'pending' AND attempts = 0)
  ORDER BY seq DESC
  LIMIT $4)
ORDER BY seq DESC
LIMIT $4;

-- name: pending
-- Of those that gave up their places, which may be very many, the newest.
(SELECT message_id, text, accepted_at, dedupe_key, false AS overflowed, id,
        files_of(message_id, 0) AS files
   FROM inbox
  WHERE session_id = $1 AND state = 'waiting')
UNION ALL
(SELECT message_id, text, accepted_at, dedupe_key, true, id, files_of(message_id, 0)
   FROM inbox
  WHERE session_id = $1 AND state = 'overflowed'
  ORDER BY id DESC
  LIMIT $2)
ORDER BY id;

-- name: session
SELECT session.id, session.key, session.created_at, session.last_active_at, session.mode,
       session.debounce_ms, session.debounce_window, session.cap, session.drop,
       session.chat_type, session.sends, session.model, session.time_zone, session.prompt_tokens,
       session.completion_tokens, session.cached_tokens,
       (SELECT count(*) FROM inbox
         WHERE inbox.session_id = session.id
           AND (inbox.state = 'waiting' OR inbox.state = 'overflowed')) AS waiting,
       EXISTS (SELECT FROM turn
                WHERE turn.session_id = session.id AND turn.state = 'running') AS running
  FROM session
 WHERE session.id = $1;

-- name: sessions
SELECT session.id, session.channel, session.account, session.chat, session.thread,
       session.created_at, session.last_active_at, session.mode, session.model,
       session.model_pinning, session.prompt_tokens, session.completion_tokens, session.cached_tokens, session.messages,
       session.opened_by,
       (SELECT count(*) FROM inbox
         WHERE inbox.session_id = session.id
           AND (inbox.state = 'waiting' OR inbox.state = 'overflowed')) AS waiting,
       EXISTS (SELECT FROM turn
                WHERE turn.session_id = session.id AND turn.state = 'running') AS running
  FROM session
 WHERE session.archived_at IS NULL AND (session.last_seq > session.removed_seq OR session.last_seq = 0)
 ORDER BY session.last_active_at DESC
 LIMIT $1;

-- name: open_session
-- Group commit.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::text[], $9::text[], $10::text[])
           WITH ORDINALITY
        AS row(session_id, session_key, tenant, agent, channel, account, chat, thread, opened_by,
               chat_type, ord)
), opened AS (
    INSERT INTO session (id, key, tenant, agent, channel, account, chat, thread, opened_by,
                         chat_type)
    SELECT DISTINCT ON (session_id)
           session_id, session_key, tenant, agent, channel, account, chat, thread, opened_by,
           chat_type
      FROM given
     ORDER BY session_id, ord
        ON CONFLICT DO NOTHING
)
SELECT ord FROM given;

-- name: answer_command
-- Group commit, of one command per session at a time. A command is one effect: that it came in
-- (once, however often it is repeated), what it changes, and what is answered. `stop` also takes
-- back what waits and asks the running turn to end; the request outlives the process that should
-- hear it. What a `reset` asks is the message that came in, and waits, with its `files` (see `accept`).
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::text[], $9::text[], $10::text[], $11::uuid[], $12::text[], $13::text[],
                  $14::text[], $15::text[], $16::text[], $17::integer[], $18::text[],
                  $19::integer[], $20::text[], $21::text[], $22::boolean[], $23::text[], $24::text[],
                  $25::text[], $26::text[], $27::uuid[], $28::text[], $29::text[], $30::text[])
           WITH ORDINALITY
        AS row(message_id, session_id, channel, account, chat, thread, sender_id, sender_name,
               rights, text, correlation_id, origin, dedupe_key, chat_type, change, mode,
               debounce_ms, debounce_window, cap, drop, model, sends, focus, time_zone, asks, reply,
               delivery_id, platform_id, reply_context, files, ord)
), fresh AS (
    INSERT INTO inbox (message_id, session_id, channel, account, chat, thread, dedupe_key, sender_id,
                       sender_name, rights, text, correlation_id, origin, trigger_type, platform_id,
                       reply_context, state, outcome)
    SELECT message_id, session_id, given.channel, given.account, given.chat, given.thread,
           dedupe_key, sender_id, sender_name, rights, coalesce(asks, text), correlation_id, origin,
           CASE WHEN asks IS NULL THEN 'command' ELSE 'message' END, platform_id, reply_context,
           CASE WHEN asks IS NULL OR NOT session.sends THEN 'done' ELSE 'waiting' END,
           CASE WHEN asks IS NULL THEN 'command' WHEN NOT session.sends THEN 'muted' END
      FROM given
      JOIN session ON session.id = given.session_id
     ORDER BY ord
        ON CONFLICT (channel, account, dedupe_key) DO NOTHING
    RETURNING message_id, session_id
), doing AS (
    SELECT given.* FROM given JOIN fresh USING (message_id, session_id)
), claimed AS (
    SELECT message_id, channel, file.*
      FROM doing,
           jsonb_to_recordset(doing.files::jsonb)
               AS file(id uuid, position integer, name text, content_type text, size bigint,
                       source text, kept uuid)
), brought AS (
    UPDATE attachment
       SET message_id = claimed.message_id, position = claimed.position
      FROM claimed
     WHERE attachment.id = claimed.kept AND attachment.message_id IS NULL
       AND attachment.channel = claimed.channel
    RETURNING attachment.message_id, attachment.position
), promised AS (
    INSERT INTO attachment (id, message_id, position, name, content_type, size, channel, source,
                            state, problem)
    SELECT id, message_id, position, name, content_type, size, channel, source,
           CASE WHEN kept IS NULL THEN 'pending' ELSE 'failed' END,
           CASE WHEN kept IS NOT NULL THEN 'It is not here any more. Send it again.' END
      FROM claimed
     WHERE kept IS NULL
        OR NOT EXISTS (SELECT FROM brought
                        WHERE brought.message_id = claimed.message_id
                          AND brought.position = claimed.position)
), withdrawn AS (
    UPDATE inbox
       SET state = 'done', outcome = 'withdrawn'
      FROM doing
     WHERE doing.change IN ('stop', 'reset') AND inbox.session_id = doing.session_id
       AND (inbox.state = 'waiting' OR inbox.state = 'overflowed')
    RETURNING inbox.message_id
), files AS (
    DELETE FROM attachment USING withdrawn WHERE attachment.message_id = withdrawn.message_id
), stopped AS (
    UPDATE turn
       SET stop_requested = true
      FROM doing
     WHERE doing.change IN ('stop', 'reset') AND turn.session_id = doing.session_id
       AND turn.state = 'running'
), changed AS (
    UPDATE session
       SET last_seq = session.last_seq + 1,
           last_active_at = greatest(session.last_active_at, now()),
           chat_type = doing.chat_type,
           reset_seq = CASE doing.change WHEN 'reset' THEN session.last_seq
                                         ELSE session.reset_seq END,
           mode = CASE doing.change WHEN 'queue' THEN doing.mode ELSE session.mode END,
           debounce_ms = CASE doing.change WHEN 'queue' THEN doing.debounce_ms
                                           ELSE session.debounce_ms END,
           debounce_window = CASE doing.change WHEN 'queue' THEN doing.debounce_window
                                               ELSE session.debounce_window END,
           cap = CASE doing.change WHEN 'queue' THEN doing.cap ELSE session.cap END,
           drop = CASE doing.change WHEN 'queue' THEN doing.drop ELSE session.drop END,
           sends = CASE doing.change WHEN 'send' THEN doing.sends ELSE session.sends END,
           model = CASE doing.change WHEN 'model' THEN doing.model ELSE session.model END,
           model_pinning = CASE WHEN doing.change = 'model' AND doing.model IS NULL THEN 'prefer'
                                ELSE session.model_pinning END,
           time_zone = CASE doing.change WHEN 'timezone' THEN doing.time_zone
                                         ELSE session.time_zone END,
           begun_at = CASE doing.change WHEN 'reset' THEN now() ELSE session.begun_at END,
           archived_at = NULL,
           compaction_wanted = CASE doing.change WHEN 'compact' THEN doing.focus
                                                 WHEN 'reset' THEN NULL
                                                 ELSE session.compaction_wanted END,
           prompt_tokens = CASE doing.change WHEN 'reset' THEN 0 ELSE session.prompt_tokens END,
           completion_tokens = CASE doing.change WHEN 'reset' THEN 0
                                                 ELSE session.completion_tokens END,
           cached_tokens = CASE doing.change WHEN 'reset' THEN 0 ELSE session.cached_tokens END
      FROM doing
     WHERE session.id = doing.session_id
    RETURNING session.id AS session_id, session.last_seq
), written AS (
    INSERT INTO entry (session_id, seq, kind, text, message_id)
    SELECT session_id, last_seq, 'notice', reply, delivery_id
      FROM doing
      JOIN changed USING (session_id)
), posted AS (
    INSERT INTO outbox (delivery_id, session_id, seq, channel, account, chat, thread, kind, text,
                        reply_context, state)
    SELECT delivery_id, session_id, last_seq, channel, account, chat, thread, 'notice', reply,
           reply_context, 'pending'
      FROM doing
      JOIN changed USING (session_id)
    RETURNING delivery_id, seq, created_at
)
SELECT given.ord, coalesce(posted.seq, outbox.seq) AS seq,
       coalesce(posted.created_at, outbox.created_at) AS created_at,
       coalesce(fresh.message_id, known.message_id) AS message_id
  FROM given
  LEFT JOIN fresh ON fresh.message_id = given.message_id
  LEFT JOIN posted ON posted.delivery_id = given.delivery_id
  LEFT JOIN outbox ON outbox.delivery_id = given.delivery_id
  LEFT JOIN inbox AS known ON known.channel = given.channel AND known.account = given.account
                          AND known.dedupe_key = given.dedupe_key;

-- name: choose_model
-- Group commit.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY
        AS row(session_id, model, pinning, ord)
)
UPDATE session
   SET model = given.model, model_pinning = given.pinning
  FROM given
 WHERE session.id = given.session_id
RETURNING given.ord;

-- name: stop_what_began
-- Group commit. When a turn begins on another node in the very moment of a stop, neither statement
-- sees the other's effect. A running turn that is about nothing newer than the stop ends with it; one
-- about what was said behind `/new` is newer.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS row(session_id, message_id, ord)
)
UPDATE turn
   SET stop_requested = true
  FROM given
  JOIN inbox AS stop USING (message_id)
 WHERE turn.session_id = given.session_id AND turn.state = 'running'
   AND NOT EXISTS (SELECT FROM inbox AS asked
                    WHERE asked.turn_id = turn.id AND asked.id >= stop.id)
RETURNING given.ord;

-- name: post
-- Group commit. A word from the daemon or its operator, outside any turn: a notice in the
-- transcript and a delivery. The same delivery id is the same word.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::uuid[])
           WITH ORDINALITY
        AS row(delivery_id, session_id, text, channel, account, chat, thread, reply_context,
               choice_id, ord)
), fresh AS (
    SELECT * FROM given
     WHERE NOT EXISTS (SELECT FROM outbox WHERE outbox.delivery_id = given.delivery_id)
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY session_id ORDER BY ord) AS nth,
           count(*) OVER (PARTITION BY session_id) AS total
      FROM fresh
), numbered AS (
    UPDATE session
       SET last_seq = session.last_seq + placed.total, archived_at = NULL
      FROM placed
     WHERE session.id = placed.session_id AND placed.nth = 1
    RETURNING session.id AS session_id, session.last_seq - placed.total AS base
), written AS (
    INSERT INTO entry (session_id, seq, kind, text, message_id)
    SELECT session_id, base + nth, 'notice', text, delivery_id
      FROM placed
      JOIN numbered USING (session_id)
), posted AS (
    INSERT INTO outbox (delivery_id, session_id, seq, channel, account, chat, thread, kind, text,
                        reply_context, choice_id, state)
    SELECT delivery_id, session_id, base + nth, channel, account, chat, thread, 'notice', text,
           reply_context, choice_id, 'pending'
      FROM placed
      JOIN numbered USING (session_id)
    RETURNING delivery_id, seq, created_at
)
SELECT given.ord, coalesce(posted.seq, outbox.seq) AS seq,
       coalesce(posted.created_at, outbox.created_at) AS created_at
  FROM given
  LEFT JOIN posted ON posted.delivery_id = given.delivery_id
  LEFT JOIN outbox ON outbox.delivery_id = given.delivery_id;

-- name: direct_talks
-- Direct chats, those in which somebody spoke last first.
SELECT channel, account, chat, thread, opened_by
  FROM session
 WHERE tenant = $1 AND chat_type = 'direct' AND channel = ANY($2::text[]) AND archived_at IS NULL
 ORDER BY last_active_at DESC
 LIMIT $3;
