-- name: about
-- Which delivery, and which turn, the message is a part of that somebody reacted to, and who listens
-- there. A platform that numbers the messages of each chat anew may have used a number before: the
-- newest counts.
SELECT outbox.delivery_id, session.tenant, session.chat_type
  FROM sent_part
  JOIN outbox USING (delivery_id)
  JOIN session ON session.id = outbox.session_id
 WHERE sent_part.channel = $1 AND sent_part.account = $2 AND sent_part.chat = $3
   AND sent_part.platform_id = $4 AND $4 <> ''
 ORDER BY outbox.id DESC
 LIMIT 1;

-- name: note
-- Group commit. An emoji is put or, where `verdict` is null, taken away again.
WITH given AS (
    SELECT DISTINCT ON (delivery_id, sender_id, emoji) *
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[])
           WITH ORDINALITY AS row(delivery_id, sender_id, emoji, verdict, ord)
     ORDER BY delivery_id, sender_id, emoji, ord DESC
), taken_away AS (
    DELETE FROM reaction
     USING given
     WHERE given.verdict IS NULL AND reaction.delivery_id = given.delivery_id
       AND reaction.sender_id = given.sender_id AND reaction.emoji = given.emoji
), put AS (
    INSERT INTO reaction (delivery_id, turn_id, sender_id, emoji, verdict)
    SELECT delivery_id, outbox.turn_id, sender_id, emoji, verdict
      FROM given
      JOIN outbox USING (delivery_id)
     WHERE verdict IS NOT NULL
        ON CONFLICT (delivery_id, sender_id, emoji) DO UPDATE SET verdict = excluded.verdict
)
SELECT ord FROM unnest($1::uuid[]) WITH ORDINALITY AS row(delivery_id, ord);

-- name: of_turn
SELECT emoji, verdict FROM reaction WHERE turn_id = $1 ORDER BY at;
