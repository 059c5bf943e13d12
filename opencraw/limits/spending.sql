-- name: open_day
-- Group commit. An agent's sum for today, so that there is a row to lock.
WITH given AS (
    SELECT * FROM unnest($1::uuid[]) WITH ORDINALITY AS row(turn_id, ord)
), opened AS (
    INSERT INTO spend (tenant, agent, day)
    SELECT DISTINCT session.tenant, session.agent, (now() AT TIME ZONE 'utc')::date
      FROM given
      JOIN turn ON turn.id = given.turn_id
      JOIN session ON session.id = turn.session_id
     ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING
)
SELECT ord FROM given;

-- name: enter_call
-- Group commit. Calls are entered in order, each with the most that it may cost, as long as the sum
-- of their agent's day stays within the cap; from the first that does not fit, the others of the
-- same flush do not either. The day's sum is locked and read as it is now, whoever changed it since
-- this statement began, so that nodes together keep within the cap. It grows by what was entered,
-- not by what was given, so that a row that is repeated counts once. A repeat whose first run
-- commits just now finds its money gone and cannot see that it was for itself: a refusal counts
-- when it is given twice. `spent` is null when the day is not open.
WITH given AS (
    SELECT row.*, session.tenant, session.agent, (now() AT TIME ZONE 'utc')::date AS day
      FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
        AS row(id, turn_id, cost, cap, ord)
      JOIN turn ON turn.id = row.turn_id
      JOIN session ON session.id = turn.session_id
), today AS (
    SELECT tenant, agent, day, cost AS spent
      FROM spend
     WHERE (tenant, agent, day) IN (SELECT tenant, agent, day FROM given)
     ORDER BY tenant, agent, day
       FOR UPDATE
), fresh AS (
    SELECT given.id,
           today.spent + sum(cost) OVER (PARTITION BY tenant, agent ORDER BY ord) <= cap AS fits
      FROM given
      LEFT JOIN today USING (tenant, agent, day)
     WHERE NOT EXISTS (SELECT FROM model_call WHERE model_call.id = given.id)
), entered AS (
    INSERT INTO model_call (id, turn_id, tenant, agent, day, cost)
    SELECT id, turn_id, tenant, agent, day, cost
      FROM given
      JOIN fresh USING (id)
     WHERE fits
        ON CONFLICT DO NOTHING
    RETURNING id, tenant, agent, day, cost
), counted AS (
    UPDATE spend
       SET cost = spend.cost + more.cost
      FROM (SELECT tenant, agent, day, sum(cost)::bigint AS cost
              FROM entered
             GROUP BY tenant, agent, day) AS more
     WHERE spend.tenant = more.tenant AND spend.agent = more.agent AND spend.day = more.day
)
SELECT given.ord, today.spent,
       EXISTS (SELECT FROM entered WHERE entered.id = given.id)
       OR EXISTS (SELECT FROM model_call WHERE model_call.id = given.id) AS admitted
  FROM given
  LEFT JOIN today USING (tenant, agent, day);

-- name: end_call
-- Group commit. What a call did cost takes the place of the estimate, once.
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS row(id, cost, ord)
), ended AS (
    UPDATE model_call
       SET cost = given.cost, ended = true
      FROM given
      JOIN model_call AS before USING (id)
     WHERE model_call.id = given.id AND NOT model_call.ended
    RETURNING model_call.tenant, model_call.agent, model_call.day,
              given.cost - before.cost AS difference
), counted AS (
    UPDATE spend
       SET cost = spend.cost + more.difference
      FROM (SELECT tenant, agent, day, sum(difference)::bigint AS difference
              FROM ended
             GROUP BY tenant, agent, day) AS more
     WHERE spend.tenant = more.tenant AND spend.agent = more.agent AND spend.day = more.day
)
SELECT ord FROM given;

-- name: spent_today
SELECT cost
  FROM spend
 WHERE tenant = $1 AND agent = $2 AND day = (now() AT TIME ZONE 'utc')::date;
