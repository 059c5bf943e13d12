-- name: listed
-- The newest $3 deliveries of the kind $1, newest first; of one channel unless $2 is null. Each kind
-- asks for itself, so that it finds its own by an index; those that were sent are most of all there are.
SELECT outbox.delivery_id, outbox.channel, outbox.account, outbox.chat, outbox.thread, outbox.kind,
       left(outbox.text, 200) AS text, length(outbox.text) AS size, outbox.turn_id, outbox.state,
       outbox.attempts, outbox.unknown, outbox.failure, outbox.trouble, outbox.created_at,
       outbox.not_before, outbox.dropped_at,
       (SELECT count(*) FROM sent_part
         WHERE sent_part.delivery_id = outbox.delivery_id) AS parts
  FROM ((SELECT id FROM outbox
          WHERE $1::text = 'dead' AND state = 'dead' AND dropped_at IS NULL
            AND ($2::text IS NULL OR channel = $2)
          ORDER BY id DESC LIMIT $3)
         UNION ALL
        (SELECT id FROM outbox
          WHERE $1 = 'dropped' AND dropped_at IS NOT NULL AND ($2 IS NULL OR channel = $2)
          ORDER BY id DESC LIMIT $3)
         UNION ALL
        (SELECT id FROM outbox
          WHERE $1 = 'open' AND state IN ('pending', 'sending') AND ($2 IS NULL OR channel = $2)
          ORDER BY id DESC LIMIT $3)
         UNION ALL
        (SELECT id FROM outbox
          WHERE $1 = 'sent' AND state = 'sent' AND ($2 IS NULL OR channel = $2)
          ORDER BY id DESC LIMIT $3)) AS newest
  JOIN outbox USING (id)
 ORDER BY outbox.id DESC;

-- name: named
-- The deliveries whose id is from $1 to $2.
SELECT delivery_id FROM outbox WHERE delivery_id BETWEEN $1::uuid AND $2::uuid LIMIT 2;

-- name: undelivered
-- Dead letters that nobody dropped, and what was tried in vain and is older than $1 seconds.
SELECT (SELECT count(*) FROM outbox WHERE state = 'dead' AND dropped_at IS NULL) AS dead,
       (SELECT count(*) FROM outbox
         WHERE state IN ('pending', 'sending') AND trouble <> ''
           AND created_at < now() - make_interval(secs => $1)) AS late;

-- name: retry
-- Group commit. A dead letter is tried again, behind the parts of it that are there. One attempt is
-- counted, so that nobody takes it for one that was never looked at; whether that may have arrived is
-- known as well as before. `waits` is also true when the same word is repeated after a lost answer.
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS row(delivery_id, word, ord)
), again AS (
    UPDATE outbox
       SET state = 'pending', failure = NULL, dropped_at = NULL, owner = NULL, not_before = NULL,
           attempts = 1, unknown = least(outbox.unknown, 1), retried_by = given.word
      FROM given
     WHERE outbox.delivery_id = given.delivery_id AND outbox.state = 'dead'
    RETURNING given.ord
)
SELECT given.ord, outbox.state,
       again.ord IS NOT NULL OR coalesce(outbox.retried_by = given.word, false) AS waits
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
