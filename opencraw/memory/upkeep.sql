-- What the daemon does with all memories, for nobody in particular. Nothing that these return is
-- shown to a person or a model, but for names of scopes, which operators see.

-- name: known_scopes
-- From scope to scope by the index, and past the memories in between; only those that are shown are
-- counted, up to a number.
WITH RECURSIVE known AS (
    (SELECT scope, created_at
       FROM memory
      WHERE tenant = $1
      ORDER BY scope, created_at DESC
      LIMIT 1)
    UNION ALL
    SELECT following.*
      FROM known
     CROSS JOIN LATERAL (SELECT memory.scope, memory.created_at
                           FROM memory
                          WHERE tenant = $1 AND memory.scope > known.scope
                          ORDER BY memory.scope, memory.created_at DESC
                          LIMIT 1) AS following
), shown AS (
    SELECT scope, created_at AS newest FROM known ORDER BY created_at DESC LIMIT $2
)
SELECT scope,
       (SELECT count(*)
          FROM (SELECT FROM memory
                 WHERE tenant = $1 AND memory.scope = shown.scope
                 LIMIT $3) AS counted) AS items,
       newest
  FROM shown
 ORDER BY newest DESC;

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
