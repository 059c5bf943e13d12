-- name: ask
-- Group commit. A question that is answered by choosing. The same id is the same question.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::float8[])
           WITH ORDINALITY
        AS row(id, tenant, kind, subject, options, seconds, ord)
), asked AS (
    INSERT INTO choice (id, tenant, kind, subject, options, expires_at)
    SELECT id, tenant, kind, subject, options::jsonb, now() + make_interval(secs => seconds)
      FROM given
        ON CONFLICT DO NOTHING
)
SELECT ord FROM given;

-- name: choice
SELECT id, kind, subject, options::text AS options, expires_at <= now() AS is_over, decided,
       decided_by
  FROM choice
 WHERE id = $1;

-- name: is_posted
SELECT EXISTS (SELECT FROM outbox WHERE choice_id = $1) AS posted;

-- name: settle
-- Group commit. What was decided about a subject, whichever way it came. It stays so, and whoever
-- reads the question again reads the answer with it.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
        AS row(subject, decided, decided_by, status, ord)
), settled AS (
    UPDATE choice
       SET decided = given.decided, decided_by = given.decided_by, decided_at = now()
      FROM given
     WHERE choice.subject = given.subject AND choice.decided IS NULL
    RETURNING choice.id, given.status
), shown AS (
    UPDATE outbox
       SET text = outbox.text || E'\n\n' || settled.status
      FROM settled
     WHERE outbox.choice_id = settled.id
)
SELECT ord FROM given;

-- name: unshown
-- The messages that asked what is decided by now and may not show it yet, with what they say. Those
-- on their way are changed when they are there. What a platform did not change for an hour it will not.
SELECT choice.id, outbox.channel, outbox.account, outbox.chat, outbox.thread, outbox.text,
       sent_part.platform_id
  FROM choice
  JOIN outbox ON outbox.choice_id = choice.id
  JOIN sent_part ON sent_part.delivery_id = outbox.delivery_id AND sent_part.part = 1
 WHERE choice.decided_at > now() - interval '1 hour' AND choice.shown_at IS NULL
   AND sent_part.platform_id <> '';

-- name: shown
-- Group commit.
WITH given AS (
    SELECT * FROM unnest($1::uuid[]) WITH ORDINALITY AS row(id, ord)
), shown AS (
    UPDATE choice SET shown_at = now() FROM given WHERE choice.id = given.id
)
SELECT ord FROM given;
