-- name: keep
-- A file that was handed to us, for a message that follows. Large, so it does not go out with the
-- group, where others would wait for it; running twice changes nothing.
INSERT INTO attachment (id, name, content_type, size, channel, source, state, data, text, cut, width,
                        height)
VALUES ($1, $2, $3, $4, $5, $6, 'stored', $7, $8, $9, $10, $11)
    ON CONFLICT (id) DO NOTHING;

-- name: pending
-- Those of these files that nobody has fetched yet.
SELECT id, position, name, content_type, size, channel, source
  FROM attachment
 WHERE id = ANY($1::uuid[]) AND state = 'pending'
 ORDER BY message_id, position;

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
       SET state = given.state, problem = given.problem
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
 WHERE id = $1 AND data IS NOT NULL AND message_id IS NOT NULL;

-- name: left_over
-- What was handed to us before $1 and came with no message, and the files of messages that were taken
-- back.
SELECT array_agg(id) AS ids
  FROM ((SELECT id FROM attachment WHERE message_id IS NULL AND created_at < $1 LIMIT $2)
         UNION ALL
        (SELECT attachment.id
           FROM attachment
           JOIN inbox USING (message_id)
          WHERE inbox.outcome = 'withdrawn' AND attachment.created_at < $1
          LIMIT $2)) AS old;

-- name: drop_files
-- Group commit. `ids` are separated by commas.
WITH given AS (
    SELECT * FROM unnest($1::text[]) WITH ORDINALITY AS row(ids, ord)
), gone AS (
    DELETE FROM attachment USING given
     WHERE attachment.id = ANY(string_to_array(given.ids, ',')::uuid[])
)
SELECT ord FROM given;
