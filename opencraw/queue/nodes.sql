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
SELECT ord, (SELECT count(*) FROM node
              WHERE node.home <> given.home AND node.lease_until > now()) AS others
  FROM given;

-- name: renew_lease
-- Group commit. Tells how many others live: nobody else can take the work of a node that is alone.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::float8[]) WITH ORDINALITY AS row(id, lease, ord)
), renewed AS (
    UPDATE node
       SET lease_until = now() + make_interval(secs => given.lease), left_at = NULL
      FROM given
     WHERE node.id = given.id
    RETURNING node.id
)
SELECT given.ord, EXISTS (SELECT FROM renewed WHERE renewed.id = given.id) AS known,
       (SELECT count(*) FROM node
         WHERE node.id <> given.id AND node.lease_until > now()) AS others
  FROM given;

-- name: leave_cluster
-- Group commit. The lease ends now, and by our own will.
WITH given AS (
    SELECT * FROM unnest($1::uuid[]) WITH ORDINALITY AS row(id, ord)
)
UPDATE node
   SET lease_until = now() - interval '1 second', left_at = now()
  FROM given
 WHERE node.id = given.id
RETURNING given.ord;

-- name: receive_for
-- Group commit. Become the one process that receives for a channel, or stay it; no row comes back
-- while another one is and lives. The same claim may be there twice, when an answer got lost.
WITH given AS (
    SELECT *
      FROM unnest($1::text[], $2::text[], $3::uuid[]) WITH ORDINALITY
        AS row(channel, account, owner, ord)
), taken AS (
    INSERT INTO receiver (channel, account, owner)
    SELECT DISTINCT ON (channel, account) channel, account, owner FROM given
     ORDER BY channel, account, ord
        ON CONFLICT (channel, account) DO UPDATE
       SET owner = excluded.owner
     WHERE receiver.owner <> excluded.owner
       AND NOT EXISTS (SELECT FROM node
                        WHERE node.id = receiver.owner AND node.lease_until >= now())
    RETURNING channel, account, owner
)
SELECT given.ord
  FROM given
 WHERE EXISTS (SELECT FROM taken WHERE (taken.channel, taken.account, taken.owner)
                                     = (given.channel, given.account, given.owner))
    OR EXISTS (SELECT FROM receiver WHERE (receiver.channel, receiver.account, receiver.owner)
                                        = (given.channel, given.account, given.owner));
