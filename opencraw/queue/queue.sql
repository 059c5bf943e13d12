-- name: accept
-- Group commit. The unique key (channel, account, dedupe_key) makes a message one message however
-- often it is offered; the answer is always the id under which it was first accepted. No id comes
-- back when another node commits the same message at this very moment: the caller asks again.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
                  $14::text[], $15::uuid[], $16::text[], $17::text[])
           WITH ORDINALITY
        AS row(message_id, session_id, session_key, tenant, agent, channel, account, chat, thread,
               sender_id, sender_name, rights, text, dedupe_key, correlation_id, origin,
               trigger_type, ord)
), opened AS (
    INSERT INTO session (id, key, tenant, agent, channel, account, chat, thread, opened_by)
    SELECT DISTINCT ON (session_id)
           session_id, session_key, tenant, agent, channel, account, chat, thread, sender_id
      FROM given
     WHERE NOT EXISTS (SELECT FROM session WHERE session.id = given.session_id)
     ORDER BY session_id, ord
        ON CONFLICT DO NOTHING
), stored AS (
    INSERT INTO inbox (message_id, session_id, channel, account, dedupe_key, sender_id, sender_name,
                       rights, text, correlation_id, origin, trigger_type, state)
    SELECT message_id, session_id, channel, account, dedupe_key, sender_id, sender_name,
           rights, text, correlation_id, origin, trigger_type, 'waiting'
      FROM given
     ORDER BY ord
        ON CONFLICT (channel, account, dedupe_key) DO NOTHING
    RETURNING message_id, channel, account, dedupe_key
)
SELECT given.ord,
       coalesce(stored.message_id,
                (SELECT known.message_id
                   FROM inbox AS known
                  WHERE known.channel = given.channel AND known.account = given.account
                    AND known.dedupe_key = given.dedupe_key)) AS message_id
  FROM given
  LEFT JOIN stored USING (channel, account, dedupe_key);

-- name: known
SELECT message_id FROM inbox WHERE channel = $1 AND account = $2 AND dedupe_key = $3;

-- name: lanes_with_work
-- The truth behind every wake-up that got lost: lanes where somebody waits.
SELECT session_id, count(*) AS waiting
  FROM inbox
 WHERE state = 'waiting'
 GROUP BY session_id;

-- name: waiting
SELECT inbox.id, inbox.message_id, inbox.session_id, inbox.text, inbox.rights,
       inbox.correlation_id, inbox.origin, inbox.trigger_type,
       extract(epoch FROM clock_timestamp() - inbox.accepted_at)::float8 AS age,
       session.channel, session.account, session.chat, session.thread, session.mode,
       session.debounce_ms, session.model
  FROM inbox
  JOIN session ON session.id = inbox.session_id
 WHERE inbox.session_id = ANY($1::uuid[])
   AND inbox.state = 'waiting'
 ORDER BY inbox.session_id, inbox.id;

-- name: start_turn
-- Group commit. A turn begins if all its messages still wait and its lane is free; otherwise it
-- does not exist. `takes` and `supersedes` are comma-separated inbox ids.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[],
                  $8::text[], $9::text[], $10::text[], $11::integer[], $12::integer[],
                  $13::integer[])
           WITH ORDINALITY
        AS row(turn_id, session_id, owner, takes, supersedes, correlation_id, origin, trigger_type,
               rights, model, collected, debounced, dropped, ord)
), wanted AS (
    SELECT turn_id, id, 'asked' AS disposition
      FROM given, unnest(string_to_array(takes, ',')::bigint[]) AS id
     UNION ALL
    SELECT turn_id, id, 'superseded'
      FROM given, unnest(string_to_array(supersedes, ',')::bigint[]) AS id
), locked AS (
    SELECT inbox.id, inbox.text, inbox.message_id, wanted.turn_id, wanted.disposition
      FROM inbox
      JOIN wanted ON wanted.id = inbox.id
     WHERE inbox.state = 'waiting'
     ORDER BY inbox.id
       FOR UPDATE OF inbox
), whole AS (
    SELECT turn_id
      FROM wanted
      LEFT JOIN locked USING (turn_id, id)
     GROUP BY turn_id
    HAVING bool_and(locked.id IS NOT NULL)
), begun AS (
    INSERT INTO turn (id, session_id, state, owner, correlation_id, origin, trigger_type, rights,
                      model, queue_collected_messages, queue_debounced_messages,
                      queue_dropped_messages)
    SELECT turn_id, session_id, 'running', owner, correlation_id, origin, trigger_type, rights,
           model, collected, debounced, dropped
      FROM given
      JOIN whole USING (turn_id)
     ORDER BY session_id
        ON CONFLICT DO NOTHING
    RETURNING id AS turn_id, session_id
), taken AS (
    UPDATE inbox
       SET state = 'taken', turn_id = begun.turn_id,
           outcome = CASE locked.disposition WHEN 'superseded' THEN 'superseded' END
      FROM locked
      JOIN begun USING (turn_id)
     WHERE inbox.id = locked.id
), lines AS (
    SELECT begun.session_id, locked.*,
           row_number() OVER (PARTITION BY begun.session_id ORDER BY locked.id) AS place,
           count(*) OVER (PARTITION BY begun.session_id) AS total
      FROM locked
      JOIN begun USING (turn_id)
), numbered AS (
    UPDATE session
       SET last_seq = last_seq + lines.total, messages = messages + lines.total,
           last_active_at = greatest(last_active_at, now())
      FROM lines
     WHERE session.id = lines.session_id AND lines.place = 1
    RETURNING session.id AS session_id, session.last_seq - lines.total AS base
), written AS (
    INSERT INTO entry (session_id, seq, turn_id, kind, text, message_id, disposition)
    SELECT session_id, base + place, turn_id, 'user', text, message_id, disposition
      FROM lines
      JOIN numbered USING (session_id)
)
SELECT given.ord
  FROM given
 WHERE EXISTS (SELECT FROM begun WHERE begun.turn_id = given.turn_id)
    OR EXISTS (SELECT FROM turn WHERE turn.id = given.turn_id);  -- repeated after a lost answer

-- name: abandoned
-- Running turns in nobody's hands: their node's lease is over, or they are ours and we do not work
-- on them. The latter happens when this process gave one up on an error; without it they would
-- block their lanes for ever.
SELECT turn.id, turn.session_id, turn.owner, turn.attempt, turn.writes, turn.model,
       turn.correlation_id, turn.stop_requested, turn.rights,
       session.tenant, session.agent, session.channel, session.account, session.chat,
       session.thread
  FROM turn
  JOIN session ON session.id = turn.session_id
  LEFT JOIN node ON node.id = turn.owner
 WHERE turn.state = 'running'
   AND CASE WHEN turn.owner = $1 THEN turn.id <> ALL($2::uuid[])
            ELSE node.id IS NULL OR node.lease_until < now() END
 ORDER BY turn.started_at
 LIMIT $3;

-- name: to_be_stopped
SELECT session_id FROM turn WHERE id = ANY($1::uuid[]) AND state = 'running' AND stop_requested;

-- name: take_over
-- Group commit. Whoever still works under the old attempt is fenced from here on.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::uuid[]) WITH ORDINALITY
        AS row(turn_id, from_owner, from_attempt, owner, ord)
), taken AS (
    UPDATE turn
       SET owner = given.owner, attempt = turn.attempt + 1
      FROM given
     WHERE turn.id = given.turn_id AND turn.state = 'running'
       AND turn.owner = given.from_owner AND turn.attempt = given.from_attempt
    RETURNING turn.id AS turn_id
)
SELECT given.ord
  FROM given
  JOIN turn ON turn.id = given.turn_id
 WHERE EXISTS (SELECT FROM taken WHERE taken.turn_id = given.turn_id)
    OR (turn.owner = given.owner AND turn.attempt = given.from_attempt + 1);

-- name: advance
-- Group commit. One step of a turn: its lines go into the transcript if the turn still belongs to
-- this owner and attempt and this is its next write. `entries` is a JSON array; `hears` are
-- comma-separated inbox ids that the turn takes up on the way.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::text[], $6::text[],
                  $7::bigint[], $8::bigint[], $9::bigint[])
           WITH ORDINALITY
        AS row(turn_id, owner, attempt, write, entries, hears, prompt_tokens, completion_tokens,
               cached_tokens, ord)
), fenced AS (
    UPDATE turn
       SET writes = given.write,
           prompt_tokens = turn.prompt_tokens + given.prompt_tokens,
           completion_tokens = turn.completion_tokens + given.completion_tokens,
           cached_tokens = turn.cached_tokens + given.cached_tokens
      FROM given
     WHERE turn.id = given.turn_id AND turn.owner = given.owner AND turn.attempt = given.attempt
       AND turn.state = 'running' AND turn.writes = given.write - 1
    RETURNING turn.id AS turn_id, turn.session_id, given.entries, given.hears
), heard AS (
    UPDATE inbox
       SET state = 'taken', turn_id = fenced.turn_id, outcome = 'injected'
      FROM fenced
     WHERE inbox.id = ANY(string_to_array(fenced.hears, ',')::bigint[])
       AND inbox.session_id = fenced.session_id
       AND inbox.state = 'waiting'
    RETURNING inbox.id, inbox.turn_id, inbox.session_id, inbox.text, inbox.message_id
), lines AS (
    SELECT fenced.session_id, fenced.turn_id, line.kind, coalesce(line.text, '') AS text, NULL::uuid AS message_id,
           NULL AS disposition, line.tool_calls, line.thinking, line.call_id, line.tool_name,
           coalesce(line.failed, false) AS failed, line.place AS place
      FROM fenced,
           LATERAL ROWS FROM (jsonb_to_recordset(fenced.entries::jsonb)
               AS (kind text, text text, tool_calls jsonb, thinking jsonb, call_id text,
                   tool_name text, failed boolean)) WITH ORDINALITY
                AS line(kind, text, tool_calls, thinking, call_id, tool_name, failed, place)
     UNION ALL
    SELECT session_id, turn_id, 'user', text, message_id, 'injected', NULL, NULL, NULL, NULL,
           false, 1000000 + row_number() OVER (ORDER BY id)
      FROM heard
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY session_id ORDER BY place) AS nth,
           count(*) OVER (PARTITION BY session_id) AS total,
           count(*) FILTER (WHERE kind = 'user') OVER (PARTITION BY session_id) AS said
      FROM lines
), numbered AS (
    UPDATE session
       SET last_seq = last_seq + placed.total, messages = messages + placed.said,
           last_active_at = greatest(last_active_at, now())
      FROM placed
     WHERE session.id = placed.session_id AND placed.nth = 1
    RETURNING session.id AS session_id, session.last_seq - placed.total AS base
), written AS (
    INSERT INTO entry (session_id, seq, turn_id, kind, text, message_id, disposition, tool_calls,
                       thinking, call_id, tool_name, failed)
    SELECT session_id, base + nth, turn_id, kind, text, message_id, disposition, tool_calls,
           thinking, call_id, tool_name, failed
      FROM placed
      JOIN numbered USING (session_id)
)
SELECT given.ord,
       ARRAY(SELECT heard.id FROM heard WHERE heard.turn_id = given.turn_id
              UNION ALL
             SELECT inbox.id FROM inbox
              WHERE inbox.turn_id = given.turn_id
                AND inbox.id = ANY(string_to_array(given.hears, ',')::bigint[])) AS heard
  FROM given
  JOIN turn ON turn.id = given.turn_id
 WHERE EXISTS (SELECT FROM fenced WHERE fenced.turn_id = given.turn_id)
    OR (turn.owner = given.owner AND turn.attempt = given.attempt AND turn.writes >= given.write);

-- name: settle
-- Group commit. A turn lands whole or not at all: its last lines, its usage, its messages' outcome
-- and its delivery are one effect. `entries` is as in advance; its last line is what is delivered
-- (unless `reply` is empty).
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::text[], $6::text[],
                  $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::uuid[],
                  $13::text[], $14::text[], $15::text[])
           WITH ORDINALITY
        AS row(turn_id, owner, attempt, write, state, entries, prompt_tokens, completion_tokens,
               cached_tokens, failure, outcome, delivery_id, reply_kind, reply, tools, ord)
), fenced AS (
    UPDATE turn
       SET writes = given.write, state = given.state, failure = given.failure, ended_at = now(),
           prompt_tokens = turn.prompt_tokens + given.prompt_tokens,
           completion_tokens = turn.completion_tokens + given.completion_tokens,
           cached_tokens = turn.cached_tokens + given.cached_tokens
      FROM given
     WHERE turn.id = given.turn_id AND turn.owner = given.owner AND turn.attempt = given.attempt
       AND turn.state = 'running' AND turn.writes = given.write - 1
    RETURNING turn.id AS turn_id, turn.session_id, turn.prompt_tokens, turn.completion_tokens,
              turn.cached_tokens, given.entries, given.outcome, given.delivery_id,
              given.reply_kind, given.reply, given.tools, given.state
), answered AS (
    UPDATE inbox
       SET state = 'done', outcome = coalesce(inbox.outcome, fenced.outcome)
      FROM fenced
     WHERE inbox.turn_id = fenced.turn_id AND inbox.state = 'taken'
), lines AS (
    SELECT fenced.session_id, fenced.turn_id, fenced.delivery_id, line.*,
           count(*) OVER (PARTITION BY fenced.session_id) AS total
      FROM fenced,
           LATERAL ROWS FROM (jsonb_to_recordset(fenced.entries::jsonb)
               AS (kind text, text text, tool_calls jsonb, thinking jsonb, call_id text,
                   tool_name text, failed boolean, interrupted boolean)) WITH ORDINALITY
                AS line(kind, text, tool_calls, thinking, call_id, tool_name, failed, interrupted,
                        place)
), numbered AS (
    UPDATE session
       SET last_seq = last_seq + coalesce(lines.total, 0),
           last_active_at = greatest(last_active_at, now()),
           prompt_tokens = session.prompt_tokens + fenced.prompt_tokens,
           completion_tokens = session.completion_tokens + fenced.completion_tokens,
           cached_tokens = session.cached_tokens + fenced.cached_tokens
      FROM fenced
      LEFT JOIN lines ON lines.session_id = fenced.session_id AND lines.place = 1
     WHERE session.id = fenced.session_id
    RETURNING session.id AS session_id, session.last_seq - coalesce(lines.total, 0) AS base,
              session.last_seq, session.channel, session.account, session.chat, session.thread
), written AS (
    INSERT INTO entry (session_id, seq, turn_id, kind, text, message_id, tool_calls, thinking,
                       call_id, tool_name, failed, interrupted)
    SELECT session_id, base + place, turn_id, kind, coalesce(text, ''),
           CASE WHEN place = total THEN delivery_id END, tool_calls, thinking,
           call_id, tool_name, coalesce(failed, false), coalesce(interrupted, false)
      FROM lines
      JOIN numbered USING (session_id)
), posted AS (
    INSERT INTO outbox (delivery_id, session_id, turn_id, seq, channel, account, chat, thread, kind,
                        text, tools, interrupted, state)
    SELECT fenced.delivery_id, fenced.session_id, fenced.turn_id, numbered.last_seq,
           numbered.channel, numbered.account, numbered.chat, numbered.thread, fenced.reply_kind,
           fenced.reply, ARRAY(SELECT jsonb_array_elements_text(fenced.tools::jsonb)), fenced.state = 'interrupted', 'pending'
      FROM fenced
      JOIN numbered USING (session_id)
     WHERE fenced.reply <> ''
    RETURNING delivery_id, seq, created_at
)
SELECT given.ord, coalesce(posted.seq, outbox.seq) AS seq,
       coalesce(posted.created_at, outbox.created_at) AS created_at
  FROM given
  JOIN turn ON turn.id = given.turn_id
  LEFT JOIN posted ON posted.delivery_id = given.delivery_id
  LEFT JOIN outbox ON outbox.delivery_id = given.delivery_id
 WHERE EXISTS (SELECT FROM fenced WHERE fenced.turn_id = given.turn_id)
    OR (turn.owner = given.owner AND turn.attempt = given.attempt AND turn.writes >= given.write);

-- name: withdraw
-- Group commit. A message is taken back only while it waits.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS row(session_id, message_id, ord)
), gone AS (
    UPDATE inbox
       SET state = 'done', outcome = 'withdrawn'
      FROM given
     WHERE inbox.message_id = given.message_id AND inbox.session_id = given.session_id
       AND inbox.state = 'waiting'
    RETURNING inbox.message_id
)
SELECT given.ord
  FROM given
  JOIN inbox USING (message_id, session_id)
 WHERE EXISTS (SELECT FROM gone WHERE gone.message_id = given.message_id)
    OR inbox.outcome = 'withdrawn';

-- name: join_cluster
-- Group commit. A node enters, and the dead of its own home are declared dead at once.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::float8[]) WITH ORDINALITY
        AS row(id, home, host, pid, lease, ord)
), buried AS (
    UPDATE node
       SET lease_until = now() - interval '1 second'
      FROM given
     WHERE node.home = given.home AND node.id <> given.id AND node.lease_until > now()
), forgotten AS (
    DELETE FROM node USING given
     WHERE node.lease_until < now() - interval '1 day' AND node.id <> given.id
       AND node.home <> given.home
), entered AS (
    INSERT INTO node (id, home, host, pid, lease_until)
    SELECT id, home, host, pid, now() + make_interval(secs => lease) FROM given
        ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until
)
SELECT ord FROM given;

-- name: renew_lease
-- Group commit.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::float8[]) WITH ORDINALITY AS row(id, lease, ord)
)
UPDATE node
   SET lease_until = now() + make_interval(secs => given.lease)
  FROM given
 WHERE node.id = given.id
RETURNING given.ord;
