-- name: begin_copy
-- Group commit. A conversation that comes from elsewhere gets its row first, marked and archived until
-- its lines are there: nobody is shown half of it, and no message is accepted into it. Whatever else is
-- said there meanwhile is numbered behind them. `open` tells whether lines may be added: it is new here,
-- or somebody began to copy the same and did not come to the end. Of one that was removed the name is
-- taken up again.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[],
                  $13::timestamptz[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[],
                  $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[],
                  $23::bigint[], $24::text[], $25::text[], $26::text[], $27::integer[],
                  $28::text[], $29::integer[], $30::text[], $31::boolean[], $32::text[],
                  $33::uuid[], $34::bigint[])
           WITH ORDINALITY
        AS row(id, key, tenant, agent, channel, account, chat, thread, chat_type, opened_by,
               created_at, last_active_at, begun_at, messages, last_seq, reset_seq, begin_seq,
               checkpoint_seq, pruned_seq, flushed_seq, prompt_tokens, completion_tokens,
               cached_tokens, model, model_pinning, mode, debounce_ms, debounce_window, cap, drop,
               sends, time_zone, forked_from, forked_seq, ord)
), opened AS (
    INSERT INTO session (id, key, tenant, agent, channel, account, chat, thread, chat_type,
                         opened_by, created_at, last_active_at, last_said_at, begun_at, archived_at,
                         messages, last_seq, reset_seq, begin_seq, checkpoint_seq, pruned_seq,
                         flushed_seq, prompt_tokens, completion_tokens, cached_tokens, model,
                         model_pinning, mode, debounce_ms, debounce_window, cap, drop, sends,
                         time_zone, forked_from, forked_seq, copying_seq)
    SELECT id, key, tenant, agent, channel, account, chat, thread, chat_type, opened_by, created_at,
           last_active_at, last_active_at, begun_at, now(), messages, last_seq, reset_seq, begin_seq,
           checkpoint_seq, pruned_seq, flushed_seq, prompt_tokens, completion_tokens,
           cached_tokens, model, model_pinning, mode, debounce_ms, debounce_window, cap, drop, sends,
           time_zone, (SELECT there.id FROM session AS there WHERE there.id = given.forked_from),
           forked_seq, last_seq
      FROM given
        ON CONFLICT (id) DO UPDATE
       SET removed_seq = 0, archived_at = now(), copying_seq = excluded.copying_seq,
           last_seq = greatest(session.last_seq, excluded.last_seq),
           messages = excluded.messages, created_at = excluded.created_at,
           reset_seq = excluded.reset_seq, begin_seq = excluded.begin_seq,
           checkpoint_seq = excluded.checkpoint_seq, pruned_seq = excluded.pruned_seq,
           flushed_seq = excluded.flushed_seq, model = excluded.model,
           model_pinning = excluded.model_pinning, opened_by = excluded.opened_by
     WHERE session.removed_seq > 0 AND session.removed_seq = session.last_seq
       AND NOT EXISTS (SELECT FROM entry WHERE entry.session_id = session.id)
    RETURNING id
)
SELECT given.ord,
       EXISTS (SELECT FROM opened WHERE opened.id = given.id)
       OR EXISTS (SELECT FROM session
                   WHERE session.id = given.id AND session.copying_seq = given.last_seq
                     AND session.forked_seq IS NOT DISTINCT FROM given.forked_seq) AS open
  FROM given;

-- name: said_until
-- How many messages people's lines up to $2 are.
SELECT count(*) AS messages
  FROM entry
 WHERE session_id = $1 AND seq <= $2 AND kind = 'user' AND disposition <> 'summarized';

-- name: add_lines
-- Group commit. `lines` is a JSON array. Lines that are there stay as they are, and so does all that
-- belongs to them.
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS row(session_id, lines, ord)
), line AS (
    SELECT session.id AS session_id, session.channel, session.account, session.chat, session.thread,
           line.*
      FROM given
      JOIN session ON session.id = given.session_id AND session.copying_seq IS NOT NULL,
           LATERAL jsonb_to_recordset(given.lines::jsonb)
               AS line(seq bigint, kind text, text text, at timestamptz, turn_id uuid,
                       message_id uuid, disposition text, asked_by text, rights text, origin text,
                       tool_calls jsonb, thinking jsonb, call_id text, tool_name text,
                       failed boolean, interrupted boolean, covers bigint, items uuid[],
                       delivered jsonb)
), written AS (
    INSERT INTO entry (session_id, seq, turn_id, kind, text, message_id, disposition, tool_calls,
                       thinking, call_id, tool_name, failed, interrupted, covers, items, created_at)
    SELECT session_id, seq, turn_id, kind, text, message_id, disposition, tool_calls, thinking,
           call_id, tool_name, coalesce(failed, false), coalesce(interrupted, false), covers,
           CASE kind WHEN 'recalled' THEN coalesce(items, '{}') END, at
      FROM line
        ON CONFLICT DO NOTHING
    RETURNING session_id, seq
), fresh AS (
    SELECT line.* FROM line JOIN written USING (session_id, seq)
), turns AS (
    INSERT INTO turn (id, session_id, state, owner, correlation_id, origin, trigger_type, rights,
                      asked_by, channel, account, chat, thread, model, started_at, ended_at)
    SELECT DISTINCT ON (turn_id)
           turn_id, session_id, 'done', '00000000-0000-0000-0000-000000000000'::uuid, turn_id,
           coalesce(origin, 'channel'), 'message', coalesce(rights, 'owner'), coalesce(asked_by, ''),
           channel, account, chat, thread, '', at, at
      FROM fresh
     WHERE turn_id IS NOT NULL
     ORDER BY turn_id, (kind = 'user') DESC, seq
        ON CONFLICT DO NOTHING
), shown AS (
    INSERT INTO outbox (delivery_id, session_id, turn_id, seq, channel, account, chat, thread, kind,
                        text, tools, interrupted, created_at, state)
    SELECT (delivered ->> 'delivery_id')::uuid, session_id, turn_id, seq, channel, account, chat,
           thread, delivered ->> 'kind', coalesce(delivered ->> 'text', text),
           ARRAY(SELECT jsonb_array_elements_text(coalesce(delivered -> 'tools', '[]'))),
           coalesce((delivered ->> 'interrupted')::boolean, false),
           (delivered ->> 'at')::timestamptz, 'sent'
      FROM fresh
     WHERE delivered IS NOT NULL
        ON CONFLICT DO NOTHING
)
SELECT ord FROM given;

-- name: finish_copy
-- Group commit.
WITH given AS (
    SELECT * FROM unnest($1::uuid[]) WITH ORDINALITY AS row(session_id, ord)
), finished AS (
    UPDATE session
       SET archived_at = NULL, copying_seq = NULL
      FROM given
     WHERE session.id = given.session_id AND session.copying_seq IS NOT NULL
)
SELECT ord FROM given;
