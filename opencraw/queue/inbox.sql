-- name: accept
-- Group commit. The unique key (channel, account, dedupe_key) makes a message one message however
-- often it is offered; the answer is always the id under which it was first accepted. No id comes
-- back when another node commits the same message at this very moment: the caller asks again.
-- A message is kept without an answer where the assistant does not speak: the caller knows rules
-- (`muted`), the session knows what its people chose. And a message tells who listens there. None is
-- taken into the `half` of a conversation that is being brought in from elsewhere. `files` is a JSON
-- array, or null.
WITH given AS (
    -- `known` is null as long as there is no session.
    SELECT row.*, (SELECT session FROM session WHERE session.id = row.session_id) AS known
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
                  $14::text[], $15::text[], $16::uuid[], $17::text[], $18::text[], $19::boolean[],
                  $20::text[], $21::text[], $22::text[])
           WITH ORDINALITY
        AS row(message_id, session_id, session_key, tenant, agent, channel, account, chat, thread,
               chat_type, sender_id, sender_name, rights, text, dedupe_key, correlation_id, origin,
               trigger_type, muted, platform_id, reply_context, files, ord)
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
    INSERT INTO inbox (message_id, session_id, channel, account, chat, thread, dedupe_key, sender_id,
                       sender_name, rights, text, correlation_id, origin, trigger_type, platform_id,
                       reply_context, state, outcome)
    SELECT message_id, session_id, channel, account, chat, thread, dedupe_key, sender_id,
           sender_name, rights, text, correlation_id, origin, trigger_type, platform_id,
           reply_context,
           CASE WHEN muted OR NOT (known).sends THEN 'done' ELSE 'waiting' END,
           CASE WHEN muted OR NOT (known).sends THEN 'muted' END
      FROM given
     WHERE (known).copying_seq IS NULL
     ORDER BY ord
        ON CONFLICT (channel, account, dedupe_key) DO NOTHING
    RETURNING message_id, channel, account, dedupe_key, state = 'done' AS muted
), claimed AS (
    SELECT message_id, given.channel, file.*
      FROM stored
      JOIN given USING (message_id),
           jsonb_to_recordset(given.files::jsonb)
               AS file(id uuid, position integer, name text, content_type text, size bigint,
                       source text, kept uuid)
), brought AS (
    -- What was handed to us comes with one message, and with none of another channel.
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
                    AND earlier.dedupe_key = given.dedupe_key)) AS muted,
       (given.known).copying_seq IS NOT NULL AS half
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
SELECT session.id AS session_id, session.channel AS lane_channel, session.tenant, session.chat_type,
       session.mode, session.debounce_ms, session.debounce_window, session.cap,
       session.drop, session.model, full_lane.overflowed,
       inbox.id, inbox.message_id, left(inbox.text, $2) AS beginning, length(inbox.text) AS size,
       inbox.channel, inbox.account, inbox.chat, inbox.thread, inbox.sender_id, inbox.rights, inbox.correlation_id, inbox.origin, inbox.trigger_type,
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
SELECT text, speaker_of(sender_name, sender_id) AS speaker, rights,
       files_of(message_id, $2) AS files
  FROM inbox
 WHERE id = ANY($1::bigint[])
 ORDER BY id;

-- name: overflowed
-- Only messages that could share a turn share a summary: those of one voice.
WITH voice AS (
    SELECT $4::text AS rights, $5::text AS channel, $6::text AS account, $7::text AS chat,
           $8::text AS thread
     WHERE $4::text IS NOT NULL
     UNION ALL
    (SELECT rights, channel, account, chat, thread
       FROM inbox
      WHERE $4::text IS NULL AND session_id = $1 AND state = 'overflowed'
      ORDER BY id DESC
      LIMIT 1)
)
SELECT id, message_id, left(text, $3) AS beginning, length(text) AS size, channel, account, chat,
       thread, sender_id, rights, correlation_id, origin, trigger_type,
       extract(epoch FROM clock_timestamp() - accepted_at)::float8 AS age,
       count(*) OVER () AS count
  FROM inbox
  JOIN voice USING (rights, channel, account, chat, thread)
 WHERE session_id = $1 AND state = 'overflowed'
 ORDER BY id DESC
 LIMIT $2;

-- name: give_up_places
-- Group commit. Messages of one address in a full lane give up their places: `summarized` ones are
-- read as a summary by a later turn, others are dropped. What people there are told about it is part
-- of the same effect; those who wait for a summary have been told already, and will be told more.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::uuid[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::text[])
           WITH ORDINALITY
        AS row(session_id, ids, summarized, delivery_id, notice, channel, account, chat, thread,
               ord)
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
     WHERE ord IN (SELECT ord FROM moved)
       AND NOT (summarized AND EXISTS (
               SELECT FROM inbox
                WHERE inbox.session_id = given.session_id AND inbox.state = 'overflowed'
                  AND inbox.channel = given.channel AND inbox.account = given.account
                  AND inbox.chat = given.chat AND inbox.thread = given.thread))
), numbered AS (
    UPDATE session
       SET last_seq = session.last_seq + told.total
      FROM told
     WHERE session.id = told.session_id AND told.nth = 1
    RETURNING session.id AS session_id, session.last_seq - told.total AS base
), written AS (
    INSERT INTO entry (session_id, seq, kind, text, message_id)
    SELECT session_id, base + nth, 'notice', notice, delivery_id
      FROM told
      JOIN numbered USING (session_id)
), posted AS (
    INSERT INTO outbox (delivery_id, session_id, seq, channel, account, chat, thread, kind, text,
                        reply_context, state)
    SELECT delivery_id, session_id, base + nth, channel, account, chat, thread, 'notice', notice,
           (SELECT inbox.reply_context
              FROM inbox
             WHERE inbox.id = ANY(string_to_array(ids, ',')::bigint[])
             ORDER BY inbox.id DESC
             LIMIT 1),
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
-- Group commit. A message is taken back, and its files go, only while nobody answers it. `was_waiting` tells whether it
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
), files AS (
    DELETE FROM attachment USING gone WHERE attachment.message_id = gone.message_id
)
SELECT given.ord,
       coalesce((SELECT was_waiting FROM gone WHERE gone.message_id = given.message_id), true)
           AS was_waiting
  FROM given
  JOIN inbox USING (message_id, session_id)
 WHERE EXISTS (SELECT FROM gone WHERE gone.message_id = given.message_id)
    OR inbox.outcome = 'withdrawn';

-- name: amend
-- Group commit. What somebody said says something else from now on, as long as nobody answers it.
WITH given AS (
    SELECT *
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
           WITH ORDINALITY
        AS row(channel, account, chat, platform_id, sender_id, text, ord)
), amended AS (
    UPDATE inbox
       SET text = given.text
      FROM given
     WHERE inbox.channel = given.channel AND inbox.account = given.account
       AND inbox.chat = given.chat AND inbox.platform_id = given.platform_id
       AND inbox.platform_id <> '' AND inbox.sender_id = given.sender_id
       AND inbox.state IN ('waiting', 'overflowed')
    RETURNING given.ord
)
SELECT given.ord
  FROM given
 WHERE EXISTS (SELECT FROM amended WHERE amended.ord = given.ord)
    OR EXISTS (SELECT FROM inbox  -- repeated after a lost answer, and taken up since
                WHERE inbox.channel = given.channel AND inbox.account = given.account
                  AND inbox.chat = given.chat AND inbox.platform_id = given.platform_id
                  AND inbox.platform_id <> '' AND inbox.sender_id = given.sender_id
                  AND inbox.text = given.text);

-- name: retract
-- Group commit. A message was deleted on its platform; where `sender_id` is given, by whom it is. As
-- in `withdraw`, `was_waiting` may not be known any more.
WITH given AS (
    SELECT *
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
           WITH ORDINALITY AS row(channel, account, chat, platform_id, sender_id, ord)
), gone AS (
    UPDATE inbox
       SET state = 'done', outcome = 'withdrawn'
      FROM given
      JOIN inbox AS before USING (channel, account, chat, platform_id)
     WHERE inbox.id = before.id AND inbox.state IN ('waiting', 'overflowed')
       AND before.platform_id <> ''
       AND (given.sender_id = '' OR before.sender_id = given.sender_id)
    RETURNING inbox.id, inbox.message_id, before.state = 'waiting' AS was_waiting
), files AS (
    DELETE FROM attachment USING gone WHERE attachment.message_id = gone.message_id
)
SELECT given.ord, (array_agg(inbox.session_id))[1] AS session_id,
       bool_or(coalesce(gone.was_waiting, true)) AS was_waiting
  FROM given
  JOIN inbox USING (channel, account, chat, platform_id)
  LEFT JOIN gone ON gone.id = inbox.id
 WHERE inbox.platform_id <> '' AND (gone.id IS NOT NULL OR inbox.outcome = 'withdrawn')
   AND (given.sender_id = '' OR inbox.sender_id = given.sender_id)
 GROUP BY given.ord;
