-- name: standing
-- How a person stands with one of our accounts: let in, waiting for an owner's word, or rejected for
-- as long as the request would have been open.
SELECT id, code, state, rights,
       told_at IS NOT NULL OR coalesce(telling_until > now(), false) OR tellings >= 5 AS told,
       extract(epoch FROM expires_at - now())::float8 AS seconds
  FROM pairing
 WHERE tenant = $1 AND channel = $2 AND account = $3 AND sender_id = $4
   AND (state = 'approved' OR (state IN ('pending', 'rejected') AND expires_at > now()))
 ORDER BY state, requested_at DESC
 LIMIT 1;

-- name: open_requests
SELECT count(*) AS count
  FROM pairing
 WHERE tenant = $1 AND channel = $2 AND account = $3 AND state = 'pending' AND expires_at > now();

-- name: expire
-- Group commit. Requests whose time is over give up their places.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
        AS row(tenant, channel, account, ord)
), expired AS (
    UPDATE pairing
       SET state = 'expired', resolved_at = pairing.expires_at
      FROM given
     WHERE pairing.tenant = given.tenant AND pairing.channel = given.channel
       AND pairing.account = given.account
       AND pairing.state = 'pending' AND pairing.expires_at <= now()
)
SELECT ord FROM given;

-- name: ask
-- Group commit. Each takes one of the places that are free with its account, and a person takes one.
-- A row is not answered if there is none, or if somebody else took the place, or the code, in the
-- same moment: the indexes refuse that, and the caller looks again.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                  $8::text[], $9::text[], $10::text[], $11::float8[])
           WITH ORDINALITY
        AS row(id, tenant, channel, account, sender_id, sender_name, chat, thread, reply_context,
               code, seconds, ord)
), fresh AS (
    SELECT DISTINCT ON (tenant, channel, account, sender_id) *
      FROM given
     WHERE NOT EXISTS (SELECT FROM pairing WHERE pairing.id = given.id)
     ORDER BY tenant, channel, account, sender_id, ord
), numbered AS (
    SELECT *, row_number() OVER (PARTITION BY tenant, channel, account ORDER BY ord) AS nth
      FROM fresh
), free AS (
    SELECT accounts.*, places.place,
           row_number() OVER (PARTITION BY tenant, channel, account ORDER BY places.place) AS nth
      FROM (SELECT DISTINCT tenant, channel, account FROM fresh) AS accounts
     CROSS JOIN generate_series(1, 3) AS places (place)
     WHERE NOT EXISTS (SELECT FROM pairing
                        WHERE pairing.tenant = accounts.tenant
                          AND pairing.channel = accounts.channel
                          AND pairing.account = accounts.account
                          AND pairing.place = places.place AND pairing.state = 'pending')
), asked AS (
    INSERT INTO pairing (id, tenant, channel, account, sender_id, sender_name, chat, thread,
                         reply_context, code, state, place, expires_at)
    SELECT id, tenant, channel, account, sender_id, sender_name, chat, thread, reply_context, code,
           'pending', place, now() + make_interval(secs => seconds)
      FROM numbered
      JOIN free USING (tenant, channel, account, nth)
        ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT given.ord
  FROM given
 WHERE EXISTS (SELECT FROM asked WHERE asked.id = given.id)
    OR EXISTS (SELECT FROM pairing WHERE pairing.id = given.id);

-- name: called
-- The newest request with this code, whatever became of it.
SELECT id, tenant, channel, account, sender_id, sender_name, chat, thread, reply_context, code,
       rights, requested_at, expires_at, resolved_at, resolved_by, note,
       CASE WHEN state = 'pending' AND expires_at <= now() THEN 'expired' ELSE state END AS state
  FROM pairing
 WHERE code = $1
 ORDER BY requested_at DESC
 LIMIT 1;

-- name: request
SELECT id, tenant, channel, account, sender_id, sender_name, chat, thread, reply_context, code,
       rights, requested_at, expires_at, resolved_at, resolved_by, note,
       CASE WHEN state = 'pending' AND expires_at <= now() THEN 'expired' ELSE state END AS state
  FROM pairing
 WHERE id = $1;

-- name: requests
-- Who waits for a word, and who was let in.
SELECT id, tenant, channel, account, sender_id, sender_name, chat, thread, reply_context, code,
       rights, requested_at, expires_at, resolved_at, resolved_by, note, state
  FROM pairing
 WHERE tenant = $1 AND (state = 'approved' OR (state = 'pending' AND expires_at > now()))
 ORDER BY state DESC, requested_at
 LIMIT $2;

-- name: unwelcomed
-- Who was let in and was not told of it yet.
SELECT id, tenant, channel, account, sender_id, sender_name, chat, thread, reply_context, code,
       rights, requested_at, expires_at, resolved_at, resolved_by, note, state
  FROM pairing
 WHERE state = 'approved' AND welcomed_at IS NULL
 ORDER BY resolved_at
 LIMIT 100;

-- name: welcomed
-- Group commit.
WITH given AS (
    SELECT * FROM unnest($1::uuid[]) WITH ORDINALITY AS row(id, ord)
), welcomed AS (
    UPDATE pairing SET welcomed_at = now() FROM given WHERE pairing.id = given.id
)
SELECT ord FROM given;

-- name: resolve
-- Group commit. An owner's word about an open request. The first counts, and `resolution` names it:
-- whoever says it again is answered as before. For as long as the code would have been good, a
-- guest may yet be made an owner.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])
           WITH ORDINALITY
        AS row(id, resolution, state, rights, resolved_by, note, ord)
), resolved AS (
    UPDATE pairing
       SET state = given.state, rights = given.rights, resolution = given.resolution,
           resolved_at = now(), resolved_by = given.resolved_by, note = given.note
      FROM given
     WHERE pairing.id = given.id AND pairing.expires_at > now()
       AND (pairing.state = 'pending'
            OR (pairing.state = 'approved' AND pairing.rights = 'guest'
                AND given.state = 'approved' AND given.rights = 'owner'))
    RETURNING pairing.id, pairing.resolution
)
SELECT given.ord,
       coalesce((SELECT resolved.resolution FROM resolved WHERE resolved.id = given.id),
                (SELECT pairing.resolution FROM pairing WHERE pairing.id = given.id))
       IS NOT DISTINCT FROM given.resolution AS ours
  FROM given;

-- name: revoke
-- Group commit. A person is let in no more, with one account or (NULL) with all of the channel.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
           WITH ORDINALITY
        AS row(resolution, tenant, channel, account, sender_id, resolved_by, ord)
), revoked AS (
    UPDATE pairing
       SET state = 'revoked', resolution = given.resolution, resolved_at = now(),
           resolved_by = given.resolved_by
      FROM given
     WHERE pairing.tenant = given.tenant AND pairing.channel = given.channel
       AND pairing.sender_id = given.sender_id
       AND (given.account IS NULL OR pairing.account = given.account)
       AND pairing.state = 'approved'
    RETURNING pairing.resolution
)
SELECT given.ord,
       (SELECT count(*) FROM revoked WHERE revoked.resolution = given.resolution)
       + (SELECT count(*) FROM pairing WHERE pairing.resolution = given.resolution) AS revoked
  FROM given;

-- name: begin_telling
-- Group commit. One process at a time tells a stranger how to be let in; `teller` names the attempt.
-- However one ended that did not reach the stranger, the next may begin two minutes after it began,
-- and the fifth is the last: a stranger does not decide how often a platform is asked.
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS row(id, teller, ord)
), telling AS (
    UPDATE pairing
       SET teller = given.teller, telling_until = now() + interval '2 minutes',
           tellings = tellings + (pairing.teller IS DISTINCT FROM given.teller)::int
      FROM given
     WHERE pairing.id = given.id AND pairing.state = 'pending' AND pairing.told_at IS NULL
       AND (pairing.teller IS NOT DISTINCT FROM given.teller
            OR (pairing.tellings < 5
                AND (pairing.teller IS NULL OR pairing.telling_until < now())))
    RETURNING pairing.id, pairing.teller
)
SELECT given.ord,
       EXISTS (SELECT FROM telling
                WHERE telling.id = given.id AND telling.teller = given.teller) AS begun
  FROM given;

-- name: end_telling
-- Group commit. The stranger knows, or never will.
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS row(id, teller, ord)
), told AS (
    UPDATE pairing
       SET told_at = now(), teller = NULL, telling_until = NULL
      FROM given
     WHERE pairing.id = given.id AND pairing.teller = given.teller
)
SELECT ord FROM given;

-- name: has_owner
SELECT EXISTS (SELECT FROM pairing
                WHERE tenant = $1 AND channel = $2 AND account = $3
                  AND state = 'approved' AND rights = 'owner') AS found;
