-- name: keep
-- A file that was handed to us, for a message that follows; a document may be still to be read. Large, so it does not go out with the
-- group, where others would wait for it; running twice changes nothing.
INSERT INTO attachment (id, name, content_type, size, channel, source, state, data, text, cut, width,
                        height)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (id) DO NOTHING;

-- name: pending
-- Those of these files that nobody has fetched or read yet, and whose they are.
SELECT attachment.id, attachment.position, attachment.name, attachment.content_type,
       attachment.size, attachment.channel, attachment.source,
       attachment.channel || '/' || inbox.sender_id AS whose,
       attachment.data IS NOT NULL AS is_here
  FROM attachment
  JOIN inbox USING (message_id)
 WHERE attachment.id = ANY($1::uuid[]) AND attachment.state = 'pending'
 ORDER BY message_id, attachment.position;

-- name: store
-- What was fetched. Two attempts may both have fetched it: the first one counts. Beside the group, as
-- `keep` is.
UPDATE attachment
   SET state = 'stored', content_type = $2, size = length($3::bytea), data = $3, text = $4, cut = $5,
       width = $6, height = $7
 WHERE id = $1 AND state = 'pending';

-- name: give_up
-- Group commit. There is nothing of a file, and `problem` says why.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS row(id, state, problem, ord)
), told AS (
    UPDATE attachment
       SET state = given.state, problem = given.problem, data = NULL
      FROM given
     WHERE attachment.id = given.id AND attachment.state = 'pending'
)
SELECT ord FROM given;

-- name: data
SELECT id, data FROM attachment WHERE id = ANY($1::uuid[]) AND data IS NOT NULL;

-- name: one
-- A file of a message, with its bytes.
SELECT name, content_type, data
  FROM attachment
 WHERE id = $1 AND state = 'stored' AND message_id IS NOT NULL;

-- name: left_over
-- What was handed to us before $1 and came with no message.
SELECT array_agg(id) AS ids
  FROM (SELECT id FROM attachment WHERE message_id IS NULL AND created_at < $1 LIMIT $2) AS old;

-- name: drop_files
-- Group commit. `ids` are separated by commas. What a message has claimed since is its own.
WITH given AS (
    SELECT * FROM unnest($1::text[]) WITH ORDINALITY AS row(ids, ord)
), gone AS (
    DELETE FROM attachment USING given
     WHERE attachment.id = ANY(string_to_array(given.ids, ',')::uuid[])
       AND attachment.message_id IS NULL
)
SELECT ord FROM given;
