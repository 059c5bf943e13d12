-- name: shown
-- Group commit. Also of a turn that has ended meanwhile: its answer is on its way.
WITH given AS (
    SELECT DISTINCT ON (turn_id) *
      FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS row(turn_id, draft_id, ord)
     ORDER BY turn_id, ord DESC
), noted AS (
    UPDATE turn SET draft_id = given.draft_id FROM given WHERE turn.id = given.turn_id
)
SELECT ord FROM unnest($1::uuid[]) WITH ORDINALITY AS row(turn_id, ord);

-- name: draft_of
SELECT draft_id, reply_context FROM turn WHERE id = $1;
