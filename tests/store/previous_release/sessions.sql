-- name: transcript
-- The newest lines after $2 that a prompt may need, newest first. Of a text longer than $4
-- characters only so much of its beginning and its end is read: no window shows more. Every row
-- tells where prompts begin now.
SELECT entry.seq, entry.kind, left(entry.text, $4) AS text,
       CASE WHEN length(entry.text) > $4 THEN right(entry.text, $4) ELSE '' END AS tail,
       length(entry.text) AS size, entry.turn_id, entry.disposition, entry.tool_calls::text AS tool_calls,
       entry.thinking::text AS thinking, entry.call_id, entry.tool_name, entry.failed,
       entry.interrupted, session.reset_seq
  FROM session
  JOIN entry ON entry.session_id = session.id
            AND entry.seq > greatest($2, session.reset_seq)
 WHERE session.id = $1
   AND entry.kind <> 'notice'
 ORDER BY entry.seq DESC
 LIMIT $3;

-- name: lines
-- A conversation as people see it: what they said, and what was delivered to them. Newest first.
(SELECT entry.seq, 'said' AS kind, entry.text, entry.created_at AS at, entry.message_id,
        entry.turn_id, '{}'::text[] AS tools, false AS interrupted, inbox.dedupe_key
   FROM entry
   JOIN inbox ON inbox.message_id = entry.message_id
  WHERE entry.session_id = $1 AND entry.kind = 'user' AND entry.seq > $2 AND entry.seq < $3
  ORDER BY entry.seq DESC
  LIMIT $4)
UNION ALL
(SELECT seq, kind, text, created_at, delivery_id, turn_id, tools, interrupted, ''
   FROM outbox
  WHERE session_id = $1 AND seq > $2 AND seq < $3
  ORDER BY seq DESC
  LIMIT $4)
ORDER BY seq DESC
LIMIT $4;

-- name: pending
-- Of those that gave up their places, which may be very many, the newest.
(SELECT message_id, text, accepted_at, dedupe_key, false AS overflowed, id
   FROM inbox
  WHERE session_id = $1 AND state = 'waiting')
UNION ALL
(SELECT message_id, text, accepted_at, dedupe_key, true, id
   FROM inbox
  WHERE session_id = $1 AND state = 'overflowed'
  ORDER BY id DESC
  LIMIT $2)
ORDER BY id;

-- name: session
SELECT session.id, session.key, session.created_at, session.last_active_at, session.mode,
       session.debounce_ms, session.debounce_window, session.cap, session.drop,
       session.chat_type, session.sends, session.model, session.prompt_tokens,
       session.completion_tokens, session.cached_tokens,
       (SELECT count(*) FROM inbox
         WHERE inbox.session_id = session.id
           AND inbox.state IN ('waiting', 'overflowed')) AS waiting,
       EXISTS (SELECT FROM turn
                WHERE turn.session_id = session.id AND turn.state = 'running') AS running
  FROM session
 WHERE session.id = $1;

-- name: sessions
SELECT session.id, session.channel, session.account, session.chat, session.thread,
       session.created_at, session.last_active_at, session.mode, session.model,
       session.prompt_tokens, session.completion_tokens, session.cached_tokens, session.messages,
       session.opened_by,
       (SELECT count(*) FROM inbox
         WHERE inbox.session_id = session.id
           AND inbox.state IN ('waiting', 'overflowed')) AS waiting,
       EXISTS (SELECT FROM turn
                WHERE turn.session_id = session.id AND turn.state = 'running') AS running
  FROM session
 ORDER BY session.last_active_at DESC
 LIMIT $1;

-- name: open_session
-- Group commit.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::text[], $9::text[])
           WITH ORDINALITY
        AS row(session_id, session_key, tenant, agent, channel, account, chat, thread, opened_by,
               ord)
), opened AS (
    INSERT INTO session (id, key, tenant, agent, channel, account, chat, thread, opened_by)
    SELECT DISTINCT ON (session_id)
           session_id, session_key, tenant, agent, channel, account, chat, thread, opened_by
      FROM given
     ORDER BY session_id, ord
        ON CONFLICT DO NOTHING
)
SELECT ord FROM given;

-- name: answer_command
-- Group commit, of one command per session at a time. A command is one effect: that it came in
-- (once, however often it is repeated), what it changes, and what is answered. `stop` also takes
-- back what waits and asks the running turn to end; the request outlives the process that should
-- hear it.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::text[], $9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[],
                  $14::text[], $15::integer[], $16::text[], $17::integer[], $18::text[],
                  $19::text[], $20::boolean[], $21::text[], $22::uuid[])
           WITH ORDINALITY
        AS row(message_id, session_id, channel, account, sender_id, sender_name, rights, text,
               correlation_id, origin, dedupe_key, chat_type, change, mode, debounce_ms,
               debounce_window, cap, drop, model, sends, reply, delivery_id, ord)
), fresh AS (
    INSERT INTO inbox (message_id, session_id, channel, account, dedupe_key, sender_id, sender_name,
                       rights, text, correlation_id, origin, trigger_type, state, outcome)
    SELECT message_id, session_id, channel, account, dedupe_key, sender_id, sender_name,
           rights, text, correlation_id, origin, 'command', 'done', 'command'
      FROM given
     ORDER BY ord
        ON CONFLICT (channel, account, dedupe_key) DO NOTHING
    RETURNING message_id, session_id
), doing AS (
    SELECT given.* FROM given JOIN fresh USING (message_id, session_id)
), withdrawn AS (
    UPDATE inbox
       SET state = 'done', outcome = 'withdrawn'
      FROM doing
     WHERE doing.change IN ('stop', 'reset') AND inbox.session_id = doing.session_id
       AND inbox.state IN ('waiting', 'overflowed')
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
           prompt_tokens = CASE doing.change WHEN 'reset' THEN 0 ELSE session.prompt_tokens END,
           completion_tokens = CASE doing.change WHEN 'reset' THEN 0
                                                 ELSE session.completion_tokens END,
           cached_tokens = CASE doing.change WHEN 'reset' THEN 0 ELSE session.cached_tokens END
      FROM doing
     WHERE session.id = doing.session_id
    RETURNING session.id AS session_id, session.last_seq, session.chat, session.thread
), written AS (
    INSERT INTO entry (session_id, seq, kind, text, message_id)
    SELECT session_id, last_seq, 'notice', reply, delivery_id
      FROM doing
      JOIN changed USING (session_id)
), posted AS (
    INSERT INTO outbox (delivery_id, session_id, seq, channel, account, chat, thread, kind, text,
                        state)
    SELECT delivery_id, session_id, last_seq, channel, account, changed.chat, changed.thread,
           'notice', reply, 'pending'
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

-- name: stop_what_began
-- Group commit. When a turn begins on another node in the very moment of a stop, neither statement
-- sees the other's effect. A running turn that is about nothing newer than the stop ends with it.
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
                    WHERE asked.turn_id = turn.id AND asked.id > stop.id)
RETURNING given.ord;

-- name: post
-- Group commit. A word from the daemon or its operator, outside any turn: a notice in the
-- transcript and a delivery. The same delivery id is the same word.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[]) WITH ORDINALITY
        AS row(delivery_id, session_id, text, ord)
), fresh AS (
    SELECT * FROM given
     WHERE NOT EXISTS (SELECT FROM outbox WHERE outbox.delivery_id = given.delivery_id)
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY session_id ORDER BY ord) AS nth,
           count(*) OVER (PARTITION BY session_id) AS total
      FROM fresh
), numbered AS (
    UPDATE session
       SET last_seq = session.last_seq + placed.total
      FROM placed
     WHERE session.id = placed.session_id AND placed.nth = 1
    RETURNING session.id AS session_id, session.last_seq - placed.total AS base, session.channel,
              session.account, session.chat, session.thread
), written AS (
    INSERT INTO entry (session_id, seq, kind, text, message_id)
    SELECT session_id, base + nth, 'notice', text, delivery_id
      FROM placed
      JOIN numbered USING (session_id)
), posted AS (
    INSERT INTO outbox (delivery_id, session_id, seq, channel, account, chat, thread, kind, text,
                        state)
    SELECT delivery_id, session_id, base + nth, channel, account, chat, thread, 'notice', text,
           'pending'
      FROM placed
      JOIN numbered USING (session_id)
    RETURNING delivery_id, seq, created_at
)
SELECT given.ord, coalesce(posted.seq, outbox.seq) AS seq,
       coalesce(posted.created_at, outbox.created_at) AS created_at
  FROM given
  LEFT JOIN posted ON posted.delivery_id = given.delivery_id
  LEFT JOIN outbox ON outbox.delivery_id = given.delivery_id;
