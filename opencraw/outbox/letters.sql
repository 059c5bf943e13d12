-- name: listed
-- The newest $4 deliveries in one of the states $1, newest first; of one channel unless $2 is null.
-- Dead letters that were dropped are shown where $3.
SELECT outbox.delivery_id, outbox.channel, outbox.account, outbox.chat, outbox.thread, outbox.kind,
       left(outbox.text, 200) AS text, length(outbox.text) AS size, outbox.turn_id, outbox.state,
       outbox.attempts, outbox.unknown, outbox.failure, outbox.created_at, outbox.not_before,
       outbox.dropped_at,
       (SELECT count(*) FROM sent_part
         WHERE sent_part.delivery_id = outbox.delivery_id) AS parts
  FROM outbox
 WHERE outbox.state = ANY($1::text[])
   AND ($2::text IS NULL OR outbox.channel = $2)
   AND (outbox.state <> 'dead' OR (outbox.dropped_at IS NOT NULL) = $3::boolean)
 ORDER BY outbox.id DESC
 LIMIT $4;

-- name: named
-- The deliveries whose id is from $1 to $2.
SELECT delivery_id FROM outbox WHERE delivery_id BETWEEN $1::uuid AND $2::uuid LIMIT 2;

-- name: count_dead
SELECT count(*) AS dead FROM outbox WHERE state = 'dead' AND dropped_at IS NULL;

-- name: retry
-- Group commit. A dead letter is tried again, behind the parts of it that are there. One attempt is
-- counted, so that nobody takes it for one that was never looked at; whether that may have arrived is
-- known as well as before. `waits` is also true when this is repeated after a lost answer.
WITH given AS (
    SELECT * FROM unnest($1::uuid[]) WITH ORDINALITY AS row(delivery_id, ord)
), again AS (
    UPDATE outbox
       SET state = 'pending', failure = NULL, dropped_at = NULL, owner = NULL, not_before = NULL,
           attempts = 1, unknown = least(outbox.unknown, 1)
      FROM given
     WHERE outbox.delivery_id = given.delivery_id AND outbox.state = 'dead'
    RETURNING given.ord
)
SELECT given.ord, outbox.state,
       again.ord IS NOT NULL
       OR (outbox.state = 'pending' AND outbox.attempts = 1 AND outbox.owner IS NULL) AS waits
  FROM given
  JOIN outbox USING (delivery_id)
  LEFT JOIN again ON again.ord = given.ord;

-- name: drop
-- Group commit. A delivery is not tried any more, and a dead one not spoken of. One that is on its way
-- at this moment is left alone.
WITH given AS (
    SELECT * FROM unnest($1::uuid[]) WITH ORDINALITY AS row(delivery_id, ord)
), dropped AS (
    UPDATE outbox
       SET state = 'dead', failure = coalesce(outbox.failure, 'dropped by an operator'),
           dropped_at = coalesce(outbox.dropped_at, now())
      FROM given
     WHERE outbox.delivery_id = given.delivery_id AND outbox.state IN ('pending', 'dead')
    RETURNING given.ord
)
SELECT given.ord, outbox.state, dropped.ord IS NOT NULL AS dropped
  FROM given
  JOIN outbox USING (delivery_id)
  LEFT JOIN dropped ON dropped.ord = given.ord;
