-- name: left_behind
-- Conversations that began anew, and of what came before not all has gone into memory: the next after
-- $2.
SELECT id, tenant, channel, account, chat, thread, chat_type, flushed_seq, reset_seq
  FROM session
 WHERE flushed_seq < reset_seq AND id > $2
 ORDER BY id
 LIMIT $1;

-- name: left_lines
-- The oldest $4 lines of a conversation from $2 up to $3, each with who had asked in its turn. Of a
-- text longer than $5 characters only its beginning and its end are read.
SELECT entry.seq, entry.kind, left(entry.text, $5) AS text,
       CASE WHEN length(entry.text) > $5 THEN right(entry.text, $5) ELSE '' END AS tail,
       length(entry.text) AS size, entry.turn_id, entry.created_at AS at, entry.disposition,
       entry.tool_calls::text AS tool_calls, entry.thinking::text AS thinking, entry.call_id,
       entry.tool_name, entry.failed, entry.interrupted, entry.covers, entry.items,
       CASE WHEN entry.kind = 'user' THEN files_of(entry.message_id, 0) END AS files,
       speaker_of(inbox.sender_name, inbox.sender_id) AS speaker,
       coalesce(inbox.rights, turn.rights) AS rights,
       turn.asked_by, turn.rights AS turn_rights, turn.origin, turn.channel, turn.account, turn.chat,
       turn.thread
  FROM entry
  JOIN turn ON turn.id = entry.turn_id
  LEFT JOIN inbox ON inbox.message_id = entry.message_id AND entry.kind = 'user'
 WHERE entry.session_id = $1 AND entry.seq > $2 AND entry.seq <= $3
 ORDER BY entry.seq
 LIMIT $4;

-- name: pass_over
-- Group commit. Nothing up to here goes into memory.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS row(session_id, through_seq, ord)
)
UPDATE session
   SET flushed_seq = greatest(session.flushed_seq, given.through_seq)
  FROM given
 WHERE session.id = given.session_id
RETURNING given.ord;

-- name: silent
-- Where nothing has happened since $1, and nothing is about to.
SELECT id
  FROM session
 WHERE archived_at IS NULL AND last_active_at < $1
   AND NOT EXISTS (SELECT FROM turn WHERE turn.session_id = session.id AND turn.state = 'running')
   AND NOT EXISTS (SELECT FROM inbox
                    WHERE inbox.session_id = session.id AND inbox.state = 'waiting')
   AND NOT EXISTS (SELECT FROM outbox
                    WHERE outbox.session_id = session.id
                      AND outbox.state IN ('pending', 'sending'))
 LIMIT $2;

-- name: archive
-- Group commit.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::timestamptz[]) WITH ORDINALITY AS row(session_id, silent_since, ord)
)
UPDATE session
   SET archived_at = coalesce(session.archived_at, now())
  FROM given
 WHERE session.id = given.session_id AND session.last_active_at < given.silent_since
RETURNING given.ord;

-- name: outlived
SELECT id
  FROM session
 WHERE archived_at < $1 AND removed_seq < last_seq
 LIMIT $2;

-- name: let_go
-- Group commit. Of an archived conversation nothing is kept but what memory keeps: it ends, and as
-- soon as all of it has gone into memory it is removed. Whoever writes there meanwhile keeps it.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::timestamptz[]) WITH ORDINALITY AS row(session_id, archived_before, ord)
)
UPDATE session
   SET reset_seq = session.last_seq, copying_seq = NULL,
       removed_seq = CASE WHEN session.flushed_seq >= session.last_seq THEN session.last_seq
                          ELSE session.removed_seq END
  FROM given
 WHERE session.id = given.session_id AND session.archived_at < given.archived_before
   AND NOT EXISTS (SELECT FROM inbox
                    WHERE inbox.session_id = session.id
                      AND (inbox.state = 'waiting' OR inbox.state = 'overflowed'))
   AND NOT EXISTS (SELECT FROM turn WHERE turn.session_id = session.id AND turn.state = 'running')
   AND NOT EXISTS (SELECT FROM outbox
                    WHERE outbox.session_id = session.id
                      AND outbox.state IN ('pending', 'sending'))
RETURNING given.ord;

-- name: removable
-- No row comes back while a turn runs there.
SELECT last_seq
  FROM session
 WHERE id = $1
   AND NOT EXISTS (SELECT FROM turn WHERE turn.session_id = session.id AND turn.state = 'running');

-- name: remove
-- Group commit. Somebody wants a conversation gone: all that was said, what waits, and what its
-- people chose. No row comes back, and nothing happens, while a turn runs there, and when a line came
-- since it was looked at: a turn that begins at this moment is not seen, but adds a line.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS row(session_id, last_seq, ord)
), gone AS (
    UPDATE session
       SET removed_seq = session.last_seq, reset_seq = session.last_seq, copying_seq = NULL,
           flushed_seq = session.last_seq, begin_seq = session.last_seq, checkpoint_seq = 0,
           messages = 0, prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0,
           compaction_wanted = NULL, mode = NULL, debounce_ms = NULL, debounce_window = NULL,
           cap = NULL, drop = NULL, sends = NULL, model = NULL, model_pinning = 'prefer',
           time_zone = NULL, opened_by = '', forked_from = NULL, forked_seq = NULL
      FROM given
     WHERE session.id = given.session_id AND session.last_seq = given.last_seq
       AND NOT EXISTS (SELECT FROM turn
                        WHERE turn.session_id = session.id AND turn.state = 'running')
    RETURNING session.id AS session_id
), withdrawn AS (
    UPDATE inbox
       SET state = 'done', outcome = 'withdrawn', text = '', sender_name = ''
      FROM gone
     WHERE inbox.session_id = gone.session_id
       AND (inbox.state = 'waiting' OR inbox.state = 'overflowed')  -- each has an index
    RETURNING inbox.message_id
), files AS (
    DELETE FROM attachment USING withdrawn WHERE attachment.message_id = withdrawn.message_id
)
SELECT given.ord FROM given JOIN gone USING (session_id);

-- name: half_removed
SELECT id
  FROM session
 WHERE removed_seq > 0
   AND EXISTS (SELECT FROM entry
                WHERE entry.session_id = session.id AND entry.seq <= session.removed_seq)
 LIMIT $1;

-- name: oldest_lines
-- What is to be removed next: the turns of the oldest lines, and lines of no turn.
SELECT coalesce(array_agg(DISTINCT turn_id) FILTER (WHERE turn_id IS NOT NULL), '{}') AS turns,
       coalesce(array_agg(seq) FILTER (WHERE turn_id IS NULL), '{}') AS lines
  FROM (SELECT entry.turn_id, entry.seq
          FROM entry
          JOIN session ON session.id = entry.session_id
         WHERE entry.session_id = $1 AND entry.seq <= session.removed_seq
         ORDER BY entry.seq
         LIMIT $2) AS oldest;

-- name: remove_lines
-- Group commit. Of a message its key is left. `turns` and `lines` are separated by commas.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY
        AS row(session_id, turns, lines, ord)
), ended AS (
    SELECT turn.id
      FROM given
      JOIN turn ON turn.id = ANY(string_to_array(turns, ',')::uuid[])
     WHERE turn.session_id = given.session_id AND turn.state <> 'running'
), calls AS (
    DELETE FROM model_call USING ended WHERE model_call.turn_id = ended.id
), spoken AS (
    DELETE FROM outbox USING ended WHERE outbox.turn_id = ended.id
), said AS (
    DELETE FROM entry USING ended WHERE entry.turn_id = ended.id
), asked AS (
    UPDATE inbox
       SET turn_id = NULL, text = '', sender_name = ''
      FROM ended
     WHERE inbox.turn_id = ended.id AND inbox.state = 'done'
    RETURNING inbox.message_id
), files AS (
    DELETE FROM attachment USING asked WHERE attachment.message_id = asked.message_id
), turns AS (
    DELETE FROM turn USING ended WHERE turn.id = ended.id
), notices AS (
    DELETE FROM entry
     USING given
     WHERE entry.session_id = given.session_id
       AND entry.seq = ANY(string_to_array(given.lines, ',')::bigint[])
    RETURNING entry.session_id, entry.seq
), posted AS (
    DELETE FROM outbox
     USING notices
     WHERE outbox.session_id = notices.session_id AND outbox.seq = notices.seq
       AND outbox.turn_id IS NULL
)
SELECT ord FROM given;

-- name: unread_messages
-- What no turn took up, such as commands, and came before $2, or else before the last line that is to
-- be removed.
SELECT id
  FROM inbox
 WHERE session_id = $1 AND turn_id IS NULL AND state = 'done'
   AND (text <> '' OR EXISTS (SELECT FROM attachment
                               WHERE attachment.message_id = inbox.message_id))
   AND accepted_at <= coalesce($2, (SELECT entry.created_at
                                      FROM session
                                      JOIN entry ON entry.session_id = session.id
                                                AND entry.seq <= session.removed_seq
                                     WHERE session.id = $1
                                     ORDER BY entry.seq DESC
                                     LIMIT 1))
 LIMIT $3;

-- name: empty_messages
-- Group commit.
WITH given AS (
    SELECT * FROM unnest($1::text[]) WITH ORDINALITY AS row(ids, ord)
), emptied AS (
    UPDATE inbox
       SET text = '', sender_name = ''
      FROM given
     WHERE inbox.id = ANY(string_to_array(given.ids, ',')::bigint[]) AND inbox.state = 'done'
    RETURNING inbox.message_id
), files AS (
    DELETE FROM attachment USING emptied WHERE attachment.message_id = emptied.message_id
)
SELECT ord FROM given;

-- name: old_rows
-- What nobody asks for any more: keys of messages that were removed, calls of models whose day is
-- long over, and nodes that are long gone. A message without words that a turn took up brought files.
SELECT ARRAY(SELECT id FROM inbox
              WHERE text = '' AND turn_id IS NULL AND state = 'done'
                AND accepted_at < $1 ORDER BY id LIMIT $4)::text[]
           AS keys,
       ARRAY(SELECT id FROM model_call WHERE day < $2::date LIMIT $4)::text[] AS calls,
       ARRAY(SELECT id FROM node
              WHERE lease_until < $3
                AND NOT EXISTS (SELECT FROM turn WHERE turn.owner = node.id AND turn.state = 'running')
              LIMIT $4)::text[] AS nodes;

-- name: drop_rows
-- Group commit. All are separated by commas.
WITH given AS (
    SELECT *
      FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS row(keys, calls, nodes, ord)
), keys AS (
    DELETE FROM inbox USING given
     WHERE inbox.id = ANY(string_to_array(given.keys, ',')::bigint[]) AND inbox.text = ''
       AND inbox.turn_id IS NULL
), calls AS (
    DELETE FROM model_call USING given
     WHERE model_call.id = ANY(string_to_array(given.calls, ',')::uuid[])
), nodes AS (
    DELETE FROM node USING given WHERE node.id = ANY(string_to_array(given.nodes, ',')::uuid[])
)
SELECT ord FROM given;
