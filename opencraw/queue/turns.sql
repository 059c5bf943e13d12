-- name: start_turn
-- Group commit. A turn begins if all its messages still wait and its lane is free; otherwise it
-- does not exist. `takes` and `supersedes` are comma-separated inbox ids. Of a full lane it also
-- takes the `summarized` messages of its voice, up to `overflow_end`, that gave up their places;
-- `summary` is what it reads instead, and what people are told.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[],
                  $8::text[], $9::text[], $10::text[], $11::integer[], $12::integer[],
                  $13::integer[], $14::text[], $15::text[], $16::integer[], $17::bigint[],
                  $18::uuid[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[])
           WITH ORDINALITY
        AS row(turn_id, session_id, owner, takes, supersedes, correlation_id, origin, trigger_type,
               rights, model, collected, debounced, dropped, pool, summary, summarized,
               overflow_end, summary_id, asked_by, channel, account, chat, thread, ord)
), wanted AS (
    SELECT turn_id, id, 'asked' AS disposition
      FROM given, unnest(string_to_array(takes, ',')::bigint[]) AS id
     UNION ALL
    SELECT turn_id, id, 'superseded'
      FROM given, unnest(string_to_array(supersedes, ',')::bigint[]) AS id
), locked AS (
    SELECT inbox.id, inbox.text, inbox.message_id, inbox.origin, inbox.reply_context, wanted.turn_id,
           wanted.disposition
      FROM inbox
      JOIN wanted ON wanted.id = inbox.id
     WHERE inbox.state = 'waiting'
     ORDER BY inbox.id
       FOR UPDATE OF inbox
), replaced AS (
    SELECT inbox.id, inbox.origin, inbox.reply_context, given.turn_id
      FROM inbox
      JOIN given USING (session_id, rights, channel, account, chat, thread)
     WHERE inbox.state = 'overflowed' AND inbox.id <= given.overflow_end
     ORDER BY inbox.id
       FOR UPDATE OF inbox
), whole AS (
    SELECT given.turn_id
      FROM given
      LEFT JOIN wanted USING (turn_id)
      LEFT JOIN locked USING (turn_id, id)
     GROUP BY given.turn_id, given.summarized
    HAVING bool_and(wanted.id IS NULL OR locked.id IS NOT NULL)
       AND given.summarized = (SELECT count(*) FROM replaced
                                WHERE replaced.turn_id = given.turn_id)
), begun AS (
    INSERT INTO turn (id, session_id, state, owner, correlation_id, origin, trigger_type, rights,
                      asked_by, channel, account, chat, thread, model, pool, reply_context,
                      queue_collected_messages, queue_debounced_messages, queue_dropped_messages)
    SELECT turn_id, session_id, 'running', owner, correlation_id, origin, trigger_type, rights,
           asked_by, channel, account, chat, thread, model, pool,
           -- The answer is one to the newest message that asked, or else to the newest of those
           -- that gave up their places.
           coalesce((SELECT locked.reply_context FROM locked
                      WHERE locked.turn_id = given.turn_id AND locked.disposition = 'asked'
                      ORDER BY locked.id DESC LIMIT 1),
                    (SELECT replaced.reply_context FROM replaced
                      WHERE replaced.turn_id = given.turn_id
                      ORDER BY replaced.id DESC LIMIT 1),
                    ''),
           collected, debounced, dropped
      FROM given
      JOIN whole USING (turn_id)
     ORDER BY session_id
        ON CONFLICT DO NOTHING
    RETURNING id AS turn_id, session_id, channel, account, chat, thread, reply_context
), summed_up AS (
    UPDATE inbox
       SET state = 'taken', turn_id = begun.turn_id
      FROM replaced
      JOIN begun USING (turn_id)
     WHERE inbox.id = replaced.id
), taken AS (
    UPDATE inbox
       SET state = 'taken', turn_id = begun.turn_id,
           outcome = CASE locked.disposition WHEN 'superseded' THEN 'superseded' END
      FROM locked
      JOIN begun USING (turn_id)
     WHERE inbox.id = locked.id
), said AS (
    SELECT begun.session_id, locked.id, locked.text, locked.message_id, turn_id, locked.disposition
      FROM locked
      JOIN begun USING (turn_id)
     UNION ALL
    SELECT begun.session_id, 0, given.summary, given.summary_id, turn_id, 'summarized'
      FROM given
      JOIN begun USING (turn_id)
     WHERE given.summary <> ''
), people AS (
    SELECT DISTINCT begun.session_id
      FROM begun
      JOIN (SELECT turn_id, origin FROM locked
             UNION ALL
            SELECT turn_id, origin FROM replaced) AS heard USING (turn_id)
     WHERE heard.origin IN ('channel', 'api', 'operator')
), lines AS (
    SELECT said.*, row_number() OVER (PARTITION BY session_id ORDER BY id) AS place,
           count(*) OVER (PARTITION BY session_id) AS total,
           count(*) FILTER (WHERE disposition <> 'summarized')
               OVER (PARTITION BY session_id) AS by_people
      FROM said
), numbered AS (
    UPDATE session
       SET last_seq = last_seq + lines.total, messages = messages + lines.by_people,
           last_active_at = greatest(last_active_at, now()),
           last_said_at = CASE WHEN session.id IN (SELECT session_id FROM people)
                               THEN greatest(last_said_at, now()) ELSE last_said_at END,
           archived_at = NULL
      FROM lines
     WHERE session.id = lines.session_id AND lines.place = 1
    RETURNING session.id AS session_id, session.last_seq - lines.total AS base
), written AS (
    INSERT INTO entry (session_id, seq, turn_id, kind, text, message_id, disposition)
    SELECT session_id, base + place, turn_id, 'user', text, message_id, disposition
      FROM lines
      JOIN numbered USING (session_id)
), posted AS (
    INSERT INTO outbox (delivery_id, session_id, turn_id, seq, channel, account, chat, thread, kind,
                        text, reply_context, state)
    SELECT message_id, session_id, turn_id, base + place, channel, account, chat, thread, 'notice',
           text, reply_context, 'pending'
      FROM lines
      JOIN numbered USING (session_id)
      JOIN begun USING (session_id, turn_id)
     WHERE disposition = 'summarized'
    RETURNING delivery_id, seq, created_at
)
SELECT given.ord, coalesce(posted.seq, outbox.seq) AS seq,
       coalesce(posted.created_at, outbox.created_at) AS created_at
  FROM given
  LEFT JOIN posted ON posted.delivery_id = given.summary_id
  LEFT JOIN outbox ON outbox.delivery_id = given.summary_id
 WHERE EXISTS (SELECT FROM begun WHERE begun.turn_id = given.turn_id)
    OR EXISTS (SELECT FROM turn WHERE turn.id = given.turn_id);  -- repeated after a lost answer

-- name: abandoned
-- Running turns in nobody's hands: their node's lease is over, or they are ours and we do not work
-- on them. The latter happens when this process gave one up on an error; without it they would
-- block their lanes for ever.
SELECT turn.id, turn.session_id, turn.owner, turn.attempt, turn.writes, turn.model,
       turn.correlation_id, turn.stop_requested, turn.rights, turn.pool, turn.deaths,
       turn.asked_by, turn.origin, session.chat_type, session.tenant,
       turn.owner = $1 OR node.left_at IS NULL AS died,
       turn.channel, turn.account, turn.chat, turn.thread
  FROM turn
  JOIN session ON session.id = turn.session_id
  LEFT JOIN node ON node.id = turn.owner
 WHERE turn.state = 'running'
   AND CASE WHEN turn.owner = $1 THEN turn.id <> ALL($2::uuid[])
            ELSE node.id IS NULL OR node.lease_until < now() END
 ORDER BY turn.started_at
 LIMIT $3;

-- name: to_be_stopped
SELECT id FROM turn WHERE id = ANY($1::uuid[]) AND state = 'running' AND stop_requested;

-- name: open_calls
-- What a turn began to do and never heard the end of.
SELECT call ->> 'id' AS id, call ->> 'name' AS name
  FROM entry
 CROSS JOIN jsonb_array_elements(entry.tool_calls) WITH ORDINALITY AS asked (call, place)
 WHERE entry.turn_id = $1
   AND NOT EXISTS (SELECT
                     FROM entry AS result
                    WHERE result.turn_id = $1 AND result.kind = 'tool_result'
                      AND result.call_id = call ->> 'id')
 ORDER BY entry.seq, place;

-- name: take_over
-- Group commit. Whoever still works under the old attempt is fenced from here on. `deaths` is one
-- when the attempt ended with its process, or with a defect, and not because it was handed over. The
-- old attempt may have written once more since the turn was found: `writes` is what it came to.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::uuid[], $5::integer[])
           WITH ORDINALITY
        AS row(turn_id, from_owner, from_attempt, owner, deaths, ord)
), taken AS (
    UPDATE turn
       SET owner = given.owner, attempt = turn.attempt + 1, deaths = turn.deaths + given.deaths
      FROM given
     WHERE turn.id = given.turn_id AND turn.state = 'running'
       AND turn.owner = given.from_owner AND turn.attempt = given.from_attempt
    RETURNING turn.id AS turn_id, turn.writes
)
SELECT given.ord, coalesce(taken.writes, turn.writes) AS writes
  FROM given
  JOIN turn ON turn.id = given.turn_id
  LEFT JOIN taken ON taken.turn_id = given.turn_id
 WHERE taken.turn_id IS NOT NULL
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
    RETURNING turn.id AS turn_id, turn.session_id, turn.stop_requested, given.entries, given.hears
), heard AS (
    UPDATE inbox
       SET state = 'taken', turn_id = fenced.turn_id, outcome = 'injected'
      FROM fenced
     WHERE inbox.id = ANY(string_to_array(fenced.hears, ',')::bigint[])
       AND inbox.session_id = fenced.session_id
       AND inbox.state = 'waiting'
       -- What is said after `/stop` or `/new` is not for the turn that they end.
       AND NOT fenced.stop_requested
    RETURNING inbox.id, inbox.turn_id, inbox.session_id, inbox.text, inbox.message_id, inbox.origin
), lines AS (
    SELECT fenced.session_id, fenced.turn_id, line.kind, coalesce(line.text, '') AS text, NULL::uuid AS message_id,
           NULL AS disposition, line.tool_calls, line.thinking, line.call_id, line.tool_name,
           coalesce(line.failed, false) AS failed, line.items, line.place AS place
      FROM fenced,
           LATERAL ROWS FROM (jsonb_to_recordset(fenced.entries::jsonb)
               AS (kind text, text text, tool_calls jsonb, thinking jsonb, call_id text,
                   tool_name text, failed boolean, items uuid[])) WITH ORDINALITY
                AS line(kind, text, tool_calls, thinking, call_id, tool_name, failed, items, place)
     UNION ALL
    SELECT session_id, turn_id, 'user', text, message_id, 'injected', NULL, NULL, NULL, NULL,
           false, NULL, 1000000 + row_number() OVER (ORDER BY id)
      FROM heard
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY session_id ORDER BY place) AS nth,
           count(*) OVER (PARTITION BY session_id) AS total,
           count(*) FILTER (WHERE kind = 'user') OVER (PARTITION BY session_id) AS said
      FROM lines
), numbered AS (
    UPDATE session
       SET last_seq = last_seq + placed.total, messages = messages + placed.said,
           last_active_at = greatest(last_active_at, now()),
           last_said_at = CASE WHEN session.id IN (SELECT session_id FROM heard
                                                    WHERE origin IN ('channel', 'api', 'operator'))
                               THEN greatest(last_said_at, now()) ELSE last_said_at END
      FROM placed
     WHERE session.id = placed.session_id AND placed.nth = 1
    RETURNING session.id AS session_id, session.last_seq - placed.total AS base
), written AS (
    INSERT INTO entry (session_id, seq, turn_id, kind, text, message_id, disposition, tool_calls,
                       thinking, call_id, tool_name, failed, items)
    SELECT session_id, base + nth, turn_id, kind, text, message_id, disposition, tool_calls,
           thinking, call_id, tool_name, failed, items
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

-- name: move_marks
-- Group commit. What prompts show of a turn's conversation changes: its marks move, forward only, and
-- with a `summary` comes the checkpoint that stands for what lies up to `begin_seq`. All of that is
-- one effect. Of a conversation that was begun anew meanwhile nothing is summed up any more.
-- `wanted` is the order that this carries out; one that came later stays.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[],
                  $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])
           WITH ORDINALITY
        AS row(turn_id, owner, attempt, write, pruned_seq, begin_seq, summary, wanted,
               prompt_tokens, completion_tokens, cached_tokens, ord)
), fenced AS (
    UPDATE turn
       SET writes = given.write,
           prompt_tokens = turn.prompt_tokens + given.prompt_tokens,
           completion_tokens = turn.completion_tokens + given.completion_tokens,
           cached_tokens = turn.cached_tokens + given.cached_tokens
      FROM given
     WHERE turn.id = given.turn_id AND turn.owner = given.owner AND turn.attempt = given.attempt
       AND turn.state = 'running' AND turn.writes = given.write - 1
    RETURNING turn.id AS turn_id, turn.session_id, given.pruned_seq, given.begin_seq,
              given.summary, given.wanted, (given.summary <> '')::integer AS checkpoints
), moved AS (
    UPDATE session
       SET pruned_seq = greatest(session.pruned_seq, fenced.pruned_seq),
           begin_seq = greatest(session.begin_seq, fenced.begin_seq),
           last_seq = session.last_seq + fenced.checkpoints,
           checkpoint_seq = CASE fenced.checkpoints WHEN 1 THEN session.last_seq + 1
                                                    ELSE session.checkpoint_seq END,
           compaction_wanted = nullif(session.compaction_wanted, fenced.wanted)
      FROM fenced
     WHERE session.id = fenced.session_id
       AND (fenced.begin_seq = 0 OR fenced.begin_seq > session.reset_seq)
    RETURNING session.id AS session_id, session.last_seq
), written AS (
    INSERT INTO entry (session_id, seq, turn_id, kind, text, covers)
    SELECT session_id, last_seq, turn_id, 'checkpoint', summary, begin_seq
      FROM fenced
      JOIN moved USING (session_id)
     WHERE checkpoints = 1
)
SELECT given.ord
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
    RETURNING turn.id AS turn_id, turn.session_id, turn.channel, turn.account, turn.chat,
              turn.thread, turn.reply_context, turn.prompt_tokens, turn.completion_tokens,
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
              session.last_seq
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
                        text, tools, interrupted, reply_context, ends_turn, state)
    SELECT fenced.delivery_id, fenced.session_id, fenced.turn_id, numbered.last_seq,
           fenced.channel, fenced.account, fenced.chat, fenced.thread, fenced.reply_kind,
           fenced.reply, ARRAY(SELECT jsonb_array_elements_text(fenced.tools::jsonb)),
           fenced.state = 'interrupted', fenced.reply_context, true, 'pending'
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
