-- name: accept
-- Group commit. The unique key (channel, account, dedupe_key) makes a message one message however
-- often it is offered; the answer is always the id under which it was first accepted. No id comes
-- back when another node commits the same message at this very moment: the caller asks again.
-- A message is kept without an answer where the assistant does not speak: the caller knows rules
-- (`muted`), the session knows what its people chose. And a message tells who listens there.
WITH given AS (
    -- `known` is null as long as there is no session.
    SELECT row.*, (SELECT session FROM session WHERE session.id = row.session_id) AS known
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
                  $14::text[], $15::text[], $16::uuid[], $17::text[], $18::text[], $19::boolean[])
           WITH ORDINALITY
        AS row(message_id, session_id, session_key, tenant, agent, channel, account, chat, thread,
               chat_type, sender_id, sender_name, rights, text, dedupe_key, correlation_id, origin,
               trigger_type, muted, ord)
), opened AS (
    INSERT INTO session (id, key, tenant, agent, channel, account, chat, thread, chat_type,
                         opened_by)
    SELECT DISTINCT ON (session_id)
           session_id, session_key, tenant, agent, channel, account, chat, thread, chat_type,
           sender_id
      FROM given
     WHERE (known).id IS NULL
     ORDER BY session_id, ord
        ON CONFLICT DO NOTHING
), corrected AS (
    UPDATE session
       SET chat_type = (SELECT chat_type
                          FROM given
                         WHERE given.session_id = session.id
                         ORDER BY ord DESC
                         LIMIT 1)
     WHERE id = ANY(ARRAY(SELECT session_id
                            FROM given
                           WHERE (known).id IS NOT NULL
                             AND chat_type IS DISTINCT FROM (known).chat_type))
), stored AS (
    INSERT INTO inbox (message_id, session_id, channel, account, dedupe_key, sender_id, sender_name,
                       rights, text, correlation_id, origin, trigger_type, state, outcome)
    SELECT message_id, session_id, channel, account, dedupe_key, sender_id, sender_name,
           rights, text, correlation_id, origin, trigger_type,
           CASE WHEN muted OR NOT (known).sends THEN 'done' ELSE 'waiting' END,
           CASE WHEN muted OR NOT (known).sends THEN 'muted' END
      FROM given
     ORDER BY ord
        ON CONFLICT (channel, account, dedupe_key) DO NOTHING
    RETURNING message_id, channel, account, dedupe_key, state = 'done' AS muted
)
SELECT given.ord,
       coalesce(stored.message_id,
                (SELECT earlier.message_id
                   FROM inbox AS earlier
                  WHERE earlier.channel = given.channel AND earlier.account = given.account
                    AND earlier.dedupe_key = given.dedupe_key)) AS message_id,
       coalesce(stored.muted,
                (SELECT earlier.outcome IS NOT DISTINCT FROM 'muted'
                   FROM inbox AS earlier
                  WHERE earlier.channel = given.channel AND earlier.account = given.account
                    AND earlier.dedupe_key = given.dedupe_key)) AS muted
  FROM given
  LEFT JOIN stored USING (channel, account, dedupe_key);

-- name: known
SELECT message_id, outcome IS NOT DISTINCT FROM 'muted' AS muted
  FROM inbox
 WHERE channel = $1 AND account = $2 AND dedupe_key = $3;

-- name: is_waiting
SELECT FROM inbox WHERE message_id = $1 AND state = 'waiting';

-- name: lanes_with_work
-- The truth behind every wake-up that got lost: lanes where somebody is to be answered, where those
-- messages came from, and what the lanes' people chose.
SELECT lane.*, session.channel, session.mode, session.debounce_ms, session.debounce_window,
       session.cap, session.drop
  FROM (SELECT session_id, array_agg(DISTINCT origin) AS origins,
               count(*) FILTER (WHERE state = 'waiting') AS waiting,
               count(*) FILTER (WHERE state = 'overflowed') AS overflowed
          FROM (SELECT session_id, origin, state FROM inbox WHERE state = 'waiting'
                 UNION ALL
                SELECT session_id, origin, state FROM inbox WHERE state = 'overflowed') AS open
         GROUP BY session_id) AS lane
  JOIN session ON session.id = lane.session_id;

-- name: waiting
-- A lane whose messages all gave up their places is one row without a message. Texts may be very
-- long; deciding about them takes their size, and telling of them their beginning.
SELECT session.id AS session_id, session.channel, session.account, session.chat, session.thread,
       session.mode, session.debounce_ms, session.debounce_window, session.cap,
       session.drop, session.model, full_lane.overflowed,
       inbox.id, inbox.message_id, left(inbox.text, $2) AS beginning, length(inbox.text) AS size,
       inbox.sender_id, inbox.rights, inbox.correlation_id, inbox.origin, inbox.trigger_type,
       extract(epoch FROM clock_timestamp() - inbox.accepted_at)::float8 AS age
  FROM session
 CROSS JOIN LATERAL (SELECT count(*) AS overflowed
                       FROM inbox AS gone
                      WHERE gone.session_id = session.id AND gone.state = 'overflowed') AS full_lane
  LEFT JOIN inbox ON inbox.session_id = session.id AND inbox.state = 'waiting'
 WHERE session.id = ANY($1::uuid[])
   AND (inbox.id IS NOT NULL OR full_lane.overflowed > 0)
 ORDER BY session.id, inbox.id;

-- name: texts
SELECT text FROM inbox WHERE id = ANY($1::bigint[]) ORDER BY id;

-- name: overflowed
-- What one may ask, another may not: only messages of equal rights share a summary.
SELECT id, message_id, left(text, $4) AS beginning, length(text) AS size, sender_id, rights,
       correlation_id, origin, trigger_type,
       extract(epoch FROM clock_timestamp() - accepted_at)::float8 AS age,
       count(*) OVER () AS count
  FROM inbox
 WHERE session_id = $1 AND state = 'overflowed'
   AND rights = coalesce($2, (SELECT newest.rights
                                FROM inbox AS newest
                               WHERE newest.session_id = $1 AND newest.state = 'overflowed'
                               ORDER BY newest.id DESC
                               LIMIT 1))
 ORDER BY id DESC
 LIMIT $3;

-- name: give_up_places
-- Group commit. Messages of a full lane give up their places: `summarized` ones are read as a
-- summary by the lane's next turn, others are dropped. What people are told about it (unless
-- `notice` is empty) is part of the same effect.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::uuid[], $5::text[]) WITH ORDINALITY
        AS row(session_id, ids, summarized, delivery_id, notice, ord)
), moved AS (
    UPDATE inbox
       SET state = CASE WHEN summarized THEN 'overflowed' ELSE 'done' END,
           outcome = CASE WHEN summarized THEN 'summarized' ELSE 'dropped' END
      FROM given
     WHERE inbox.id = ANY(string_to_array(given.ids, ',')::bigint[])
       AND inbox.session_id = given.session_id AND inbox.state = 'waiting'
    RETURNING given.ord
), told AS (
    SELECT *, row_number() OVER (PARTITION BY session_id ORDER BY ord) AS nth,
           count(*) OVER (PARTITION BY session_id) AS total
      FROM given
     WHERE notice <> '' AND ord IN (SELECT ord FROM moved)
), numbered AS (
    UPDATE session
       SET last_seq = session.last_seq + told.total
      FROM told
     WHERE session.id = told.session_id AND told.nth = 1
    RETURNING session.id AS session_id, session.last_seq - told.total AS base, session.channel,
              session.account, session.chat, session.thread
), written AS (
    INSERT INTO entry (session_id, seq, kind, text, message_id)
    SELECT session_id, base + nth, 'notice', notice, delivery_id
      FROM told
      JOIN numbered USING (session_id)
), posted AS (
    INSERT INTO outbox (delivery_id, session_id, seq, channel, account, chat, thread, kind, text,
                        state)
    SELECT delivery_id, session_id, base + nth, channel, account, chat, thread, 'notice', notice,
           'pending'
      FROM told
      JOIN numbered USING (session_id)
    RETURNING delivery_id, seq, created_at
)
SELECT given.ord,
       (SELECT count(*) FROM moved WHERE moved.ord = given.ord)
           + (SELECT count(*)  -- moved already: repeated after a lost answer
                FROM inbox
               WHERE inbox.id = ANY(string_to_array(given.ids, ',')::bigint[])
                 AND inbox.session_id = given.session_id
                 AND inbox.outcome IN ('summarized', 'dropped')) AS moved,
       coalesce(posted.seq, outbox.seq) AS seq,
       coalesce(posted.created_at, outbox.created_at) AS created_at
  FROM given
  LEFT JOIN posted ON posted.delivery_id = given.delivery_id
  LEFT JOIN outbox ON outbox.delivery_id = given.delivery_id;

-- name: withdraw
-- Group commit. A message is taken back only while nobody answers it. `was_waiting` tells whether it
-- had its place until now; nobody knows that any more when this is repeated after a lost answer, and
-- nearly all had.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS row(session_id, message_id, ord)
), gone AS (
    UPDATE inbox
       SET state = 'done', outcome = 'withdrawn'
      FROM given
      JOIN inbox AS before USING (message_id, session_id)
     WHERE inbox.id = before.id AND inbox.state IN ('waiting', 'overflowed')
    RETURNING inbox.message_id, before.state = 'waiting' AS was_waiting
)
SELECT given.ord,
       coalesce((SELECT was_waiting FROM gone WHERE gone.message_id = given.message_id), true)
           AS was_waiting
  FROM given
  JOIN inbox USING (message_id, session_id)
 WHERE EXISTS (SELECT FROM gone WHERE gone.message_id = given.message_id)
    OR inbox.outcome = 'withdrawn';
