-- name: life
-- Notices are nothing that anybody said.
SELECT begun_at, last_said_at, last_seq, time_zone, clock_timestamp() AS now,
       NOT EXISTS (SELECT FROM entry
                    WHERE entry.session_id = session.id AND entry.seq > session.reset_seq
                      AND entry.kind <> 'notice') AS is_fresh
  FROM session
 WHERE id = $1;

-- name: begin_anew
-- Group commit. As if somebody had said `/new` before the message that waits, unless something
-- happened since the conversation was looked at: a turn that begins, here or elsewhere, adds a line.
-- Whoever did it before under the same moment has done it now. A notice tells people.
WITH given AS (
    SELECT *
      FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::timestamptz[],
                  $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
           WITH ORDINALITY
        AS row(session_id, begun_at, last_seq, anew_at, delivery_id, notice, channel, account, chat,
               thread, ord)
), anew AS (
    UPDATE session
       SET reset_seq = session.last_seq, last_seq = session.last_seq + 1, begun_at = given.anew_at, compaction_wanted = NULL,
           prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0
      FROM given
     WHERE session.id = given.session_id AND session.begun_at = given.begun_at
       AND session.last_seq = given.last_seq
       AND NOT EXISTS (SELECT FROM turn
                        WHERE turn.session_id = session.id AND turn.state = 'running')
    RETURNING session.id AS session_id, session.last_seq, given.delivery_id
), written AS (
    INSERT INTO entry (session_id, seq, kind, text, message_id)
    SELECT session_id, anew.last_seq, 'notice', notice, delivery_id
      FROM given
      JOIN anew USING (session_id, delivery_id)
), posted AS (
    INSERT INTO outbox (delivery_id, session_id, seq, channel, account, chat, thread, kind, text,
                        reply_context, state)
    SELECT delivery_id, session_id, anew.last_seq, channel, account, chat, thread, 'notice', notice,
           coalesce((SELECT inbox.reply_context
                       FROM inbox
                      WHERE inbox.session_id = given.session_id AND inbox.state = 'waiting'
                        AND inbox.channel = given.channel AND inbox.account = given.account
                        AND inbox.chat = given.chat AND inbox.thread = given.thread
                      ORDER BY inbox.id
                      LIMIT 1), ''),
           'pending'
      FROM given
      JOIN anew USING (session_id, delivery_id)
    RETURNING delivery_id, seq, created_at
)
SELECT given.ord, coalesce(posted.seq, outbox.seq) AS seq,
       coalesce(posted.created_at, outbox.created_at) AS created_at
  FROM given
  LEFT JOIN posted ON posted.delivery_id = given.delivery_id
  LEFT JOIN outbox ON outbox.delivery_id = given.delivery_id
 WHERE posted.delivery_id IS NOT NULL
    OR outbox.delivery_id IS NOT NULL;  -- repeated after a lost answer
