-- name: life
SELECT begun_at, last_said_at, last_seq, last_seq = reset_seq AS is_fresh, time_zone,
       clock_timestamp() AS now
  FROM session
 WHERE id = $1;

-- name: begin_anew
-- Group commit. As if somebody had said `/new` before the message that waits, unless something
-- happened since the conversation was looked at: a turn that begins, here or elsewhere, adds a line.
-- Whoever did it before under the same moment has done it now.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::timestamptz[]) WITH ORDINALITY
        AS row(session_id, begun_at, last_seq, anew_at, ord)
), anew AS (
    UPDATE session
       SET reset_seq = session.last_seq, begun_at = given.anew_at, compaction_wanted = NULL,
           prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0
      FROM given
     WHERE session.id = given.session_id AND session.begun_at = given.begun_at
       AND session.last_seq = given.last_seq
       AND NOT EXISTS (SELECT FROM turn
                        WHERE turn.session_id = session.id AND turn.state = 'running')
    RETURNING session.id AS session_id
)
SELECT given.ord
  FROM given
 WHERE EXISTS (SELECT FROM anew WHERE anew.session_id = given.session_id)
    OR EXISTS (SELECT FROM session
                WHERE session.id = given.session_id AND session.begun_at = given.anew_at);
