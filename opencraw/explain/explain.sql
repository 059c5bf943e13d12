-- name: find
-- Which message somebody means who names a message, a turn or a delivery whose id is from $1 to $2.
WITH named AS (
    SELECT 'message' AS kind, message_id AS id, message_id, NULL::uuid AS turn_id
      FROM inbox
     WHERE message_id BETWEEN $1::uuid AND $2::uuid
     UNION ALL
    SELECT 'turn', id, NULL, id
      FROM turn
     WHERE id BETWEEN $1 AND $2
     UNION ALL
    SELECT 'delivery', delivery_id, NULL, turn_id
      FROM outbox
     WHERE delivery_id BETWEEN $1 AND $2
     LIMIT 5
)
SELECT named.kind, named.id, coalesce(named.message_id, asked.message_id) AS message_id
  FROM named
  LEFT JOIN LATERAL (SELECT message_id FROM inbox
                      WHERE turn_id = named.turn_id
                      -- What it answers comes before what it heard, replaced or summed up.
                      ORDER BY outcome IN ('injected', 'superseded', 'summarized') NULLS FIRST,
                               id DESC
                      LIMIT 1) AS asked ON true;

-- name: newest
SELECT message_id FROM inbox ORDER BY id DESC LIMIT $1;

-- name: stories
-- Messages, the newest first, each with the turn that took it up or, while it waits, the one that
-- runs in its lane.
SELECT clock_timestamp() AS now,
       inbox.message_id, inbox.session_id, inbox.channel, inbox.account, inbox.chat,
       inbox.thread, inbox.sender_id, inbox.sender_name, inbox.rights, inbox.origin,
       inbox.trigger_type, inbox.correlation_id, left(inbox.text, 200) AS text,
       inbox.accepted_at, inbox.state, inbox.outcome,
       session.mode, session.debounce_ms, session.debounce_window, session.cap,
       session.drop, session.sends,
       CASE inbox.state
       WHEN 'waiting' THEN (SELECT count(*) FROM inbox AS older
                             WHERE older.session_id = inbox.session_id
                               AND older.state = 'waiting' AND older.id < inbox.id)
       ELSE 0 END AS ahead,
       turn.id AS turn_id, turn.state AS turn_state, turn.model, turn.pool,
       turn.rights = inbox.rights AND turn.channel = inbox.channel AND turn.account = inbox.account
           AND turn.chat = inbox.chat AND turn.thread = inbox.thread AS turn_may_hear,
       turn.attempt, turn.deaths, turn.stop_requested,
       turn.started_at, turn.ended_at, turn.failure, turn.queue_collected_messages,
       turn.queue_debounced_messages, turn.queue_dropped_messages, turn.prompt_tokens,
       turn.completion_tokens, turn.cached_tokens,
       turn.owner, node.host, node.pid, node.left_at,
       coalesce(node.lease_until >= now(), false) AS owner_lives,
       step.kind AS step, step.tool_name,
       greatest(step.created_at, turn.started_at) AS step_at,
       (SELECT entry.created_at FROM entry
         WHERE entry.turn_id = inbox.turn_id AND entry.message_id = inbox.message_id
           AND entry.disposition = 'injected') AS heard_at,
       (SELECT entry.message_id FROM entry
         WHERE entry.turn_id = inbox.turn_id AND entry.disposition = 'asked'
           AND inbox.outcome = 'superseded'
         ORDER BY entry.seq DESC LIMIT 1) AS superseded_by,
       (SELECT count(*) FROM node AS living WHERE living.lease_until >= now()) AS nodes
  FROM inbox
  JOIN session ON session.id = inbox.session_id
  LEFT JOIN turn ON turn.id = CASE WHEN inbox.state IN ('waiting', 'overflowed')
                                   THEN (SELECT running.id FROM turn AS running
                                          WHERE running.session_id = inbox.session_id
                                            AND running.state = 'running')
                                   ELSE inbox.turn_id END
  LEFT JOIN node ON node.id = turn.owner
  LEFT JOIN LATERAL (SELECT entry.kind, entry.tool_name, entry.created_at FROM entry
                      WHERE entry.turn_id = turn.id AND turn.state = 'running'
                      ORDER BY entry.seq DESC LIMIT 1) AS step ON true
 WHERE inbox.message_id = ANY($1::uuid[])
 ORDER BY inbox.id DESC;

-- name: deliveries
-- What turns said, and the answers to commands (which belong to no turn), in order.
SELECT outbox.turn_id, outbox.delivery_id, outbox.channel, outbox.kind, outbox.state,
       outbox.attempts, outbox.unknown, outbox.created_at, outbox.not_before, outbox.failure,
       coalesce(entry.disposition = 'summarized', false) AS is_summary
  FROM outbox
  LEFT JOIN entry ON entry.session_id = outbox.session_id AND entry.seq = outbox.seq
 WHERE outbox.turn_id = ANY($1::uuid[])
    OR outbox.delivery_id = ANY($2::uuid[])
 ORDER BY outbox.id;

-- name: reactions
-- What people think of what these turns said, in order.
SELECT turn_id, emoji, verdict, at FROM reaction WHERE turn_id = ANY($1::uuid[]) ORDER BY at;
