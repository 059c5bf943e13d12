-- What the daemon does with all memories, for nobody in particular. Nothing that these return is
-- shown to a person or a model, but for names of scopes, which operators see.

-- name: known_scopes
SELECT scope, count(*) AS items, max(created_at) AS newest
  FROM memory
 WHERE tenant = $1
 GROUP BY scope
 ORDER BY newest DESC;

-- name: crowded_scopes
SELECT tenant, scope, count(*) - $1::bigint AS beyond
  FROM memory
 GROUP BY tenant, scope
HAVING count(*) > $1::bigint;

-- name: prepare_vectors
-- Why there is no place for vectors of this size; null when there is one.
SELECT prepare_vectors($1) AS problem;

-- name: without_vector
-- Memories of which this model has made no vector. Those of another model's are made anew.
SELECT id, text
  FROM ((SELECT id, text FROM memory WHERE vector_model < $1 ORDER BY vector_model LIMIT $2)
        UNION ALL
        (SELECT id, text FROM memory WHERE vector_model > $1 ORDER BY vector_model LIMIT $2))
    AS waiting
 LIMIT $2;

-- name: keep_vector
-- Group commit. A vector of a text that was corrected meanwhile is of no use. An empty one says that
-- the model takes no such text.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
        AS row(id, digest, model, vector, ord)
), marked AS (
    UPDATE memory
       SET vector_model = given.model
      FROM given
     WHERE memory.id = given.id AND md5(memory.text) = given.digest
    RETURNING memory.id, memory.tenant, memory.scope
), kept AS (
    INSERT INTO memory_vector (id, tenant, scope, model, vector)
    SELECT DISTINCT ON (id) id, tenant, scope, model, vector::halfvec
      FROM marked
      JOIN given USING (id)
     WHERE vector <> ''
     ORDER BY id, ord
        ON CONFLICT (id) DO UPDATE
       SET model = excluded.model, vector = excluded.vector
)
SELECT ord FROM given;
