-- name: begin_attempt
-- Group commit. The attempt is on record before the send: whoever finds the row later knows that
-- one copy more may exist. `attempt` is the one that begins.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) WITH ORDINALITY
        AS row(delivery_id, owner, attempt, ord)
)
UPDATE outbox
   SET state = 'sending', owner = given.owner, attempts = given.attempt
  FROM given
 WHERE outbox.delivery_id = given.delivery_id
   AND outbox.state IN ('pending', 'sending')
   AND (outbox.attempts = given.attempt - 1
        OR (outbox.attempts = given.attempt AND outbox.owner = given.owner))
RETURNING given.ord;

-- name: end_attempt
-- Group commit. `state` is sent, pending (again after `pause` seconds) or dead (with a failure).
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::float8[], $6::text[])
           WITH ORDINALITY
        AS row(delivery_id, owner, attempt, state, pause, failure, ord)
)
UPDATE outbox
   SET state = given.state, failure = given.failure,
       not_before = CASE WHEN given.state = 'pending'
                         THEN now() + make_interval(secs => given.pause) END
  FROM given
 WHERE outbox.delivery_id = given.delivery_id
   AND outbox.attempts = given.attempt AND outbox.owner = given.owner
   AND outbox.state <> 'dead'
RETURNING given.ord;

-- name: open_deliveries
-- What has to go out and is in nobody's hands: `held` are in ours.
SELECT outbox.delivery_id, outbox.channel, outbox.account, outbox.chat, outbox.thread, outbox.seq,
       outbox.kind, outbox.text, outbox.created_at, outbox.turn_id, outbox.tools,
       outbox.interrupted, outbox.attempts, outbox.state
  FROM outbox
  LEFT JOIN node ON node.id = outbox.owner
 WHERE outbox.state IN ('pending', 'sending')
   AND outbox.delivery_id <> ALL($2::uuid[])
   AND outbox.channel = ANY($3::text[])
   AND (outbox.owner IS NULL OR outbox.owner = $1 OR node.id IS NULL OR node.lease_until < now())
   AND (outbox.not_before IS NULL OR outbox.not_before <= now())
 ORDER BY outbox.id
 LIMIT $4;
