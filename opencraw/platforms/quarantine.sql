-- name: put_aside
-- Group commit. Repeated after a lost answer, an event lies there twice, which does no harm: the
-- oldest go when there are more than $5 of a channel.
WITH given AS (
    SELECT *
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[])
           WITH ORDINALITY AS row(channel, account, payload, problem, most, ord)
), old AS (
    DELETE FROM quarantined
     USING (SELECT channel, min(most) AS most FROM given GROUP BY channel) AS kept
     WHERE quarantined.channel = kept.channel
       AND quarantined.id <= (SELECT newest.id
                                FROM quarantined AS newest
                               WHERE newest.channel = kept.channel
                               ORDER BY newest.id DESC
                              OFFSET kept.most - 1
                               LIMIT 1)
), added AS (
    INSERT INTO quarantined (channel, account, payload, problem)
    SELECT channel, account, payload, problem FROM given ORDER BY ord
)
SELECT ord FROM given;

-- name: newest
SELECT id, account, payload, problem, received_at
  FROM quarantined
 WHERE channel = $1
 ORDER BY id DESC
 LIMIT $2;
