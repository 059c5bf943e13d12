-- name: begin_attempt
-- Group commit. The attempt is on record before the send: whoever finds the row later knows that
-- one copy more may exist. `attempt` is the one that begins; `unknown` of those before it may have
-- arrived. No delivery overtakes an older one of its session to the same address, whichever node has
-- that; where a conversation goes on at several, one that cannot be reached holds up no other. The
-- answer tells whether the attempt began, for the rules about speaking where, and what the sender
-- needs to know: which parts are there already, which turn it ends, and which message shows that turn
-- (unless it became a part of something else), NULL if that may be there and has no name yet. With
-- what may have arrived, where the channel `looks` whether it did, it tells which messages in the same
-- chat are something else: the first of those since the delivery was made, because that is where
-- whoever looks begins.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::boolean[], $6::integer[])
           WITH ORDINALITY
        AS row(delivery_id, owner, attempt, unknown, looks, most_others, ord)
), begun AS (
    UPDATE outbox
       SET state = 'sending', owner = given.owner, attempts = given.attempt,
           unknown = given.unknown
      FROM given
     WHERE outbox.delivery_id = given.delivery_id
       AND outbox.state IN ('pending', 'sending')
       AND (outbox.attempts = given.attempt - 1
            OR (outbox.attempts = given.attempt AND outbox.owner = given.owner))
       AND NOT EXISTS (SELECT FROM outbox AS older
                        WHERE older.session_id = outbox.session_id AND older.id < outbox.id
                          AND older.state IN ('pending', 'sending')
                          AND older.channel = outbox.channel AND older.account = outbox.account
                          AND older.chat = outbox.chat AND older.thread = outbox.thread)
    RETURNING given.ord
)
SELECT given.ord, begun.ord IS NOT NULL AS begun, session.chat_type, session.tenant,
       session.key AS session_key, outbox.reply_context, outbox.choice_id,
       (SELECT choice.options::text FROM choice WHERE choice.id = outbox.choice_id) AS options,
       ARRAY(SELECT sent_part.platform_id
               FROM sent_part
              WHERE sent_part.delivery_id = given.delivery_id
              ORDER BY sent_part.part) AS parts,
       CASE WHEN (given.unknown > 0 OR turn.id IS NOT NULL AND turn.draft_id IS NULL)
                 AND given.looks
            THEN ARRAY(SELECT other.platform_id
                         FROM sent_part AS other
                        WHERE other.channel = outbox.channel AND other.account = outbox.account
                          AND other.chat = outbox.chat AND other.platform_id <> ''
                          AND other.delivery_id <> outbox.delivery_id
                          AND other.sent_at > outbox.created_at - interval '5 minutes'
                        ORDER BY other.sent_at, other.part
                        LIMIT given.most_others)
            ELSE '{}' END AS others,
       CASE WHEN outbox.ends_turn THEN outbox.turn_id END AS ends,
       CASE WHEN turn.id IS NULL
                 OR EXISTS (SELECT FROM sent_part AS used
                             WHERE used.channel = outbox.channel
                               AND used.account = outbox.account
                               AND used.chat = outbox.chat
                               AND used.platform_id = turn.draft_id)
            THEN '' ELSE turn.draft_id END AS draft
  FROM given
  JOIN outbox USING (delivery_id)
  JOIN session ON session.id = outbox.session_id
  LEFT JOIN turn ON turn.id = outbox.turn_id AND outbox.ends_turn
  LEFT JOIN begun ON begun.ord = given.ord;

-- name: part_sent
-- Group commit. One more part of a delivery is on its platform, whoever of us brought it there. What
-- may have arrived of it has arrived: what comes next was never tried.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::integer[], $3::text[]) WITH ORDINALITY
        AS row(delivery_id, part, platform_id, ord)
), there AS (
    INSERT INTO sent_part (delivery_id, part, platform_id, channel, account, chat)
    SELECT delivery_id, part, platform_id, channel, account, chat
      FROM given
      JOIN outbox USING (delivery_id)
        ON CONFLICT (delivery_id, part) DO NOTHING
    RETURNING delivery_id
), known AS (
    UPDATE outbox
       SET unknown = 0
     WHERE unknown > 0 AND delivery_id IN (SELECT delivery_id FROM there)
)
SELECT ord FROM given;

-- name: put_in_place
-- Group commit. What hooks made of a delivery that was never attempted: another text, or with a
-- `failure` a dead letter. Of two nodes that had it looked at the first is right, and the answer is
-- what the delivery says from now on. `before` is the text that was looked at.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
        AS row(delivery_id, before, text, failure, ord)
), put AS (
    UPDATE outbox
       SET text = given.text, failure = given.failure,
           state = CASE WHEN given.failure IS NULL THEN 'pending' ELSE 'dead' END
      FROM given
     WHERE outbox.delivery_id = given.delivery_id
       AND outbox.state = 'pending' AND outbox.attempts = 0 AND outbox.text = given.before
    RETURNING given.ord, outbox.text, outbox.state
)
SELECT given.ord, coalesce(put.text, outbox.text) AS text, coalesce(put.state, outbox.state) AS state
  FROM given
  JOIN outbox USING (delivery_id)
  LEFT JOIN put ON put.ord = given.ord;

-- name: end_attempt
-- Group commit. `state` is sent, pending (again after `pause` seconds, because of a `trouble`) or
-- dead (with a failure). An attempt of a dead node has no other end than the one that its heir gives
-- it.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::text[], $6::float8[],
                  $7::text[], $8::text[])
           WITH ORDINALITY
        AS row(delivery_id, owner, attempt, unknown, state, pause, failure, trouble, ord)
)
UPDATE outbox
   SET state = given.state, failure = given.failure, unknown = given.unknown,
       trouble = given.trouble,
       not_before = CASE WHEN given.state = 'pending'
                         THEN now() + make_interval(secs => given.pause) END
  FROM given
 WHERE outbox.delivery_id = given.delivery_id
   AND outbox.attempts = given.attempt
   AND (outbox.owner = given.owner
        OR NOT EXISTS (SELECT FROM node WHERE node.id = outbox.owner AND node.lease_until >= now()))
   AND outbox.state <> 'dead'
RETURNING given.ord;

-- name: open_deliveries
-- What has to go out and is in nobody's hands: `held` are in ours. What has to pause comes too: its
-- younger neighbours must not overtake it. Nor is there anything to do yet for those whose elders
-- are in other hands.
SELECT outbox.delivery_id, outbox.channel, outbox.account, outbox.chat, outbox.thread, outbox.seq,
       outbox.kind, outbox.text, outbox.created_at, outbox.turn_id, outbox.tools,
       outbox.interrupted, outbox.attempts, outbox.unknown, outbox.state,
       greatest(extract(epoch FROM outbox.not_before - now()), 0)::float8 AS pause
  FROM outbox
  LEFT JOIN node ON node.id = outbox.owner
 WHERE outbox.state IN ('pending', 'sending')
   AND outbox.delivery_id <> ALL($2::uuid[])
   AND outbox.channel = ANY($3::text[])
   AND (outbox.owner IS NULL OR outbox.owner = $1 OR node.id IS NULL OR node.lease_until < now())
   AND NOT EXISTS (SELECT FROM outbox AS older
                     JOIN node AS other ON other.id = older.owner AND other.lease_until >= now()
                    WHERE older.session_id = outbox.session_id AND older.id < outbox.id
                      AND older.state IN ('pending', 'sending') AND older.owner <> $1
                      AND older.channel = outbox.channel AND older.account = outbox.account
                      AND older.chat = outbox.chat AND older.thread = outbox.thread)
 ORDER BY outbox.id
 LIMIT $4;
