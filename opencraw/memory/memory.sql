-- What turns and people do with memories. Every statement here names the tenant and the scopes that
-- it may touch, and a test reads them all for it.

-- name: find_by_words
-- Memories that hold words of a question, the best of them first. Words that few memories share
-- decide which are looked at; one that hundreds share only counts among those. So a search in a
-- large scope does not cost much more than in a small one.
WITH asked AS MATERIALIZED (
    SELECT word::tsquery AS word, ord FROM unnest($3::text[]) WITH ORDINALITY AS row(word, ord)
), found AS MATERIALIZED (
    SELECT asked.ord, hit.id
      FROM asked
     CROSS JOIN LATERAL (SELECT id
                           FROM memory
                          WHERE tenant = $1 AND ARRAY[scope] && $2::text[] AND words @@ asked.word
                          LIMIT 301) AS hit
), size AS MATERIALIZED (
    SELECT count(*) AS items
      FROM (SELECT FROM memory WHERE tenant = $1 AND scope = ANY ($2::text[]) LIMIT 1000) AS mine
), weighed AS MATERIALIZED (
    SELECT asked.ord, word, hits > 300 AS common,
           ln((greatest(items, hits) + 1)::float8 / (hits + 0.5)) AS weight
      FROM asked
      JOIN (SELECT ord, count(*) AS hits FROM found GROUP BY ord) AS counted USING (ord)
     CROSS JOIN size
), rare AS MATERIALIZED (
    SELECT id, sum(weight) AS weight
      FROM found
      JOIN weighed USING (ord)
     WHERE NOT common
     GROUP BY id
     ORDER BY 2 DESC
     LIMIT 200
), paired AS MATERIALIZED (
    -- Words that many share mean something together.
    SELECT hit.id
      FROM (SELECT one.word && other.word AS words
              FROM weighed AS one
              JOIN weighed AS other ON one.ord < other.ord
             WHERE one.common AND other.common
             LIMIT 3) AS pair
     CROSS JOIN LATERAL (SELECT id
                           FROM memory
                          WHERE tenant = $1 AND ARRAY[scope] && $2::text[]
                            AND memory.words @@ pair.words
                          LIMIT 100) AS hit
), newest AS MATERIALIZED (
    -- Nothing but one such word: those who said it last.
    SELECT recent.id
      FROM unnest($2::text[]) AS given(scope)
     CROSS JOIN LATERAL (SELECT id, words
                           FROM memory
                          WHERE tenant = $1 AND memory.scope = given.scope
                          ORDER BY created_at DESC
                          LIMIT 500) AS recent
     WHERE NOT EXISTS (SELECT FROM rare) AND NOT EXISTS (SELECT FROM paired)
       AND EXISTS (SELECT FROM weighed WHERE common AND recent.words @@ weighed.word)
), candidate AS MATERIALIZED (
    SELECT id, sum(weight) AS weight
      FROM (SELECT id, weight FROM rare
            UNION ALL
            SELECT id, 0 FROM (SELECT id FROM paired UNION SELECT id FROM newest) AS other)
        AS any_way(id, weight)
     WHERE id <> ALL ($4::uuid[])
     GROUP BY id
)
SELECT id,
       -- A word tells more about a short memory than about a long one.
       (weight + coalesce((SELECT sum(weighed.weight)
                             FROM weighed
                            WHERE common AND memory.words @@ weighed.word), 0))
       / (1 + 0.2 * ln(greatest(length(words), 20)::float8 / 20)) AS score,
       importance, coalesce(corrected_at, said_at) AS at
  FROM candidate
  JOIN memory USING (id)
 WHERE tenant = $1 AND scope = ANY ($2::text[])
 ORDER BY score DESC
 LIMIT $5;

-- name: find_by_meaning
-- A memory that was corrected since its vector was made has none.
SELECT id, near.similarity AS score, importance, coalesce(corrected_at, said_at) AS at
  FROM nearest_memories($1, $2::text[], $3, $4::real[], $6) AS near
  JOIN memory USING (id)
 WHERE tenant = $1 AND scope = ANY ($2::text[]) AND vector_model = $3 AND id <> ALL ($5::uuid[])
 ORDER BY near.similarity DESC;

-- name: read_items
SELECT id, scope, kind, text, importance, said_at, created_at, corrected_at, session_id, from_seq,
       to_seq
  FROM memory
 WHERE tenant = $1 AND scope = ANY ($2::text[]) AND id = ANY ($3::uuid[]);

-- name: newest_items
-- A page goes on after the last memory of the one before.
SELECT newest.*
  FROM unnest($2::text[]) AS given(scope)
 CROSS JOIN LATERAL (SELECT id, memory.scope, kind, text, importance, said_at, created_at,
                            corrected_at, session_id, from_seq, to_seq
                       FROM memory
                      WHERE tenant = $1 AND memory.scope = given.scope
                        AND (created_at, id) < (coalesce($3::timestamptz, 'infinity'),
                                                coalesce($4::uuid,
                                                    'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                      ORDER BY created_at DESC, id DESC
                      LIMIT $5) AS newest
 ORDER BY created_at DESC, id DESC
 LIMIT $5;

-- name: called
SELECT id, scope, kind, text, importance, said_at, created_at, corrected_at, session_id, from_seq,
       to_seq
  FROM memory
 WHERE tenant = $1 AND scope = ANY ($2::text[]) AND id BETWEEN $3 AND $4
 ORDER BY id
 LIMIT 2;

-- name: most_important_since
SELECT id, scope, kind, text, importance, said_at, created_at, corrected_at, session_id, from_seq,
       to_seq
  FROM memory
 WHERE tenant = $1 AND scope = ANY ($2::text[]) AND created_at >= $3 AND said_at >= $3
 ORDER BY importance DESC, created_at DESC
 LIMIT $4;

-- name: beyond
-- How many memories a scope has too many. Not more are counted than may go in one round.
SELECT count(*) - $3::bigint AS beyond
  FROM (SELECT FROM memory WHERE tenant = $1 AND scope = $2 LIMIT $3::bigint + $4::bigint) AS mine;

-- name: first_to_go
-- What gives way in a scope that is too large: what was said before what was noted, the least
-- important first, then the oldest. What a person corrected stays.
SELECT id
  FROM memory
 WHERE tenant = $1 AND scope = $2 AND corrected_at IS NULL
 ORDER BY kind <> 'pre_compaction_flush', importance, said_at
 LIMIT $3;

-- name: save
-- Group commit. The same id is the same text in the same scope: it becomes as important as anybody
-- found it. What a person has corrected meanwhile stays corrected.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::real[], $8::text[], $9::uuid[]) WITH ORDINALITY
        AS row(id, tenant, agent, scope, kind, text, importance, words, session_id, ord)
), saved AS (
    INSERT INTO memory (id, tenant, agent, scope, kind, text, importance, words, session_id,
                        from_seq, to_seq)
    SELECT DISTINCT ON (given.id) given.id, given.tenant, given.agent, scope, kind, text,
           importance, array_to_tsvector(ARRAY(SELECT jsonb_array_elements_text(words::jsonb))),
           session_id, last_seq, last_seq
      FROM given
      LEFT JOIN session ON session.id = session_id
     ORDER BY given.id, importance DESC
        ON CONFLICT (id) DO UPDATE
       SET importance = greatest(memory.importance, excluded.importance)
     WHERE memory.tenant = excluded.tenant AND memory.scope = excluded.scope
    RETURNING id, scope, kind, text, importance, said_at, created_at, corrected_at, session_id,
              from_seq, to_seq
)
SELECT given.ord, saved.* FROM given JOIN saved USING (id);

-- name: flush
-- Group commit. What leaves a conversation's window is kept, and marked as kept: a flush that ends
-- where an earlier one did, or before, does nothing. Of one that would leave out what came before it
-- no row comes back, and nothing happens. Memories of one flush are a microsecond apart, in their
-- order.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::integer[], $10::integer[], $11::text[])
           WITH ORDINALITY
        AS row(session_id, from_seq, through_seq, tenant, agent, scope, channel_id, sender_id,
               message_count, token_estimate, items, ord)
), before AS MATERIALIZED (
    SELECT id, flushed_seq
      FROM session
     WHERE id IN (SELECT session_id FROM given)
     ORDER BY id
       FOR UPDATE
), fresh AS MATERIALIZED (
    SELECT given.*, (SELECT entry.created_at
                       FROM entry
                      WHERE entry.session_id = given.session_id AND seq = through_seq) AS said_at
      FROM given
      JOIN before ON before.id = given.session_id
     WHERE through_seq > flushed_seq AND from_seq <= flushed_seq + 1
), kept AS (
    INSERT INTO memory (id, tenant, agent, scope, kind, text, importance, words, session_id,
                        from_seq, to_seq, channel_id, sender_id, message_count, token_estimate,
                        said_at, created_at)
    SELECT DISTINCT ON (item.id) item.id, tenant, agent, scope, kind, text, importance,
           array_to_tsvector(ARRAY(SELECT jsonb_array_elements_text(words))), session_id,
           from_seq, through_seq, channel_id, sender_id,
           CASE kind WHEN 'pre_compaction_flush' THEN message_count END,
           CASE kind WHEN 'pre_compaction_flush' THEN token_estimate END,
           coalesce(said_at, now()), now() + number * interval '1 microsecond'
      FROM fresh
     CROSS JOIN LATERAL jsonb_to_recordset(items::jsonb)
        AS item(id uuid, kind text, text text, importance real, words jsonb, number integer)
     ORDER BY item.id, ord
        ON CONFLICT (id) DO NOTHING
), moved AS (
    UPDATE session
       SET flushed_seq = furthest.through_seq
      FROM (SELECT session_id, max(through_seq) AS through_seq FROM fresh GROUP BY session_id)
        AS furthest
     WHERE session.id = furthest.session_id
)
SELECT given.ord
  FROM given
  JOIN before ON before.id = given.session_id
 WHERE from_seq <= flushed_seq + 1;

-- name: correct
-- Group commit. `scopes` is a JSON list, as a row has no place for an array. The vector was of the
-- former text: no model made one of this yet.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
        AS row(id, tenant, scopes, text, words, ord)
), last AS (
    SELECT DISTINCT ON (id, tenant, scopes) * FROM given ORDER BY id, tenant, scopes, ord DESC
), corrected AS (
    UPDATE memory
       SET text = last.text, corrected_at = now(), vector_model = '',
           words = array_to_tsvector(ARRAY(SELECT jsonb_array_elements_text(last.words::jsonb)))
      FROM last
     WHERE memory.id = last.id AND memory.tenant = last.tenant
       AND last.scopes::jsonb ? memory.scope
    RETURNING memory.id, memory.tenant, memory.scope, kind, memory.text, importance, said_at,
              created_at, corrected_at, session_id, from_seq, to_seq
)
SELECT given.ord, corrected.*
  FROM given
  JOIN corrected ON corrected.id = given.id AND corrected.tenant = given.tenant
                AND given.scopes::jsonb ? corrected.scope;

-- name: forget
-- Group commit. Its vector goes with it.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY
        AS row(id, tenant, scopes, ord)
), forgotten AS (
    DELETE FROM memory
     USING given
     WHERE memory.id = given.id AND memory.tenant = given.tenant
       AND given.scopes::jsonb ? memory.scope
)
SELECT ord FROM given;
