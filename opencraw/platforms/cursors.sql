-- name: position
SELECT value FROM cursor_position WHERE channel = $1 AND account = $2 AND name = $3;

-- name: move
-- Group commit. Of several moves in one group the last one counts.
WITH given AS (
    SELECT *
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
           WITH ORDINALITY AS row(channel, account, name, value, ord)
), moved AS (
    INSERT INTO cursor_position (channel, account, name, value)
    SELECT DISTINCT ON (channel, account, name) channel, account, name, value
      FROM given
     ORDER BY channel, account, name, ord DESC
        ON CONFLICT (channel, account, name) DO UPDATE
       SET value = excluded.value, moved_at = now()
)
SELECT ord FROM given;
