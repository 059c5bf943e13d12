-- Many platforms: who may talk, what came with a message, which parts of an answer are there, and
-- what people think of it.

-- How a platform calls a message, by which it is edited or taken back; and what its channel needs to
-- answer it, opaque to everybody else. Daemons of the release before this one write neither.
ALTER TABLE inbox
    ADD COLUMN platform_id text NOT NULL DEFAULT '',
    ADD COLUMN reply_context text NOT NULL DEFAULT '';

CREATE INDEX inbox_on_platform ON inbox (channel, account, chat, platform_id)
 WHERE platform_id <> '';
-- What no turn took up, such as commands: it is looked for when a conversation is removed.
CREATE INDEX inbox_of_no_turn ON inbox (session_id, id) WHERE turn_id IS NULL AND state = 'done';

ALTER TABLE turn
    ADD COLUMN reply_context text NOT NULL DEFAULT '',
    -- The platform's id of the message that shows the turn while it runs; empty is none. NULL: one
    -- was put, or was about to be, and nobody knows whether it is there.
    ADD COLUMN draft_id text DEFAULT '';

-- A question that is answered by choosing. What is asked about, `subject`, is a row of the kind's own
-- table. Once decided it stays so.
CREATE TABLE choice (
    id             uuid PRIMARY KEY,
    schema_version smallint NOT NULL DEFAULT 1,
    tenant         text NOT NULL,
    kind           text NOT NULL,
    subject        uuid NOT NULL,
    options        jsonb NOT NULL,
    asked_at       timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    decided        text,
    decided_by     text,                      -- channel:sender, or the name of a credential
    decided_at     timestamptz,
    -- The message that asked shows what was decided, or never will.
    shown_at       timestamptz,
    CHECK ((decided IS NULL) = (decided_at IS NULL)),
    CHECK ((decided IS NULL) = (decided_by IS NULL))
);

CREATE INDEX choice_of_subject ON choice (subject);
CREATE INDEX choice_unshown ON choice (decided_at) WHERE shown_at IS NULL;

ALTER TABLE outbox
    ADD COLUMN reply_context text NOT NULL DEFAULT '',
    ADD COLUMN choice_id uuid REFERENCES choice,
    -- It is the last word of its turn: only this may take the place of what showed the turn.
    ADD COLUMN ends_turn boolean NOT NULL DEFAULT false,
    -- The word by which it was last tried again, so that it may be said again.
    ADD COLUMN retried_by uuid,
    -- Why the last attempt failed, for as long as more follow.
    ADD COLUMN trouble text NOT NULL DEFAULT '',
    -- An operator has seen the dead letter, and wants to hear no more of it.
    ADD COLUMN dropped_at timestamptz CHECK (dropped_at IS NULL OR state = 'dead');

CREATE INDEX outbox_of_choice ON outbox (choice_id) WHERE choice_id IS NOT NULL;
CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead' AND dropped_at IS NULL;
CREATE INDEX outbox_dropped ON outbox (id) WHERE dropped_at IS NOT NULL;

-- The parts of a delivery that are on its platform. An attempt that follows begins behind them, and a
-- reaction finds the answer that it is about.
CREATE TABLE sent_part (
    delivery_id uuid NOT NULL REFERENCES outbox (delivery_id) ON DELETE CASCADE,
    part        integer NOT NULL CHECK (part > 0),
    platform_id text NOT NULL,               -- empty where the platform names nothing
    channel     text NOT NULL,
    account     text NOT NULL,
    chat        text NOT NULL,
    sent_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (delivery_id, part)
);

CREATE INDEX sent_part_on_platform ON sent_part (channel, account, chat, platform_id)
 WHERE platform_id <> '';
CREATE INDEX sent_part_in_chat ON sent_part (channel, account, chat, sent_at)
 WHERE platform_id <> '';

-- Who asked to be let in, and what an owner said. A person has at most one open or approved request
-- with each of our accounts.
CREATE TABLE pairing (
    id             uuid PRIMARY KEY,
    schema_version smallint NOT NULL DEFAULT 1,
    tenant         text NOT NULL,
    channel        text NOT NULL,
    account        text NOT NULL,
    sender_id      text NOT NULL,
    sender_name    text NOT NULL,
    -- Where the request came from: there the person is told.
    chat           text NOT NULL,
    thread         text NOT NULL,
    reply_context  text NOT NULL,
    code           text NOT NULL,
    state          text NOT NULL
        CHECK (state IN ('pending', 'approved', 'rejected', 'expired', 'revoked')),
    rights         text NOT NULL DEFAULT 'guest' CHECK (rights IN ('owner', 'guest')),
    requested_at   timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    -- One of the three that an account has for open requests.
    place          smallint NOT NULL CHECK (place BETWEEN 1 AND 3),
    -- The one notice that a stranger gets has reached the platform; who is on the way with it.
    told_at        timestamptz,
    teller         uuid,
    telling_until  timestamptz,
    tellings       smallint NOT NULL DEFAULT 0,
    -- The word that resolved it, so that it may be said again.
    resolution     uuid,
    resolved_at    timestamptz,
    resolved_by    text NOT NULL DEFAULT '',
    note           text NOT NULL DEFAULT '' CHECK (length(note) <= 512),
    -- Whoever was let in knows of it.
    welcomed_at    timestamptz,
    CHECK ((state = 'pending') = (resolved_at IS NULL)),
    CHECK ((teller IS NULL) = (telling_until IS NULL))
);

CREATE INDEX pairing_of_sender ON pairing (channel, account, sender_id, state);
CREATE INDEX pairing_unwelcomed ON pairing (id) WHERE state = 'approved' AND welcomed_at IS NULL;
CREATE UNIQUE INDEX pairing_in_place ON pairing (tenant, channel, account, place)
 WHERE state = 'pending';
CREATE INDEX pairing_by_code ON pairing (code);
CREATE INDEX pairing_resolved ON pairing (resolution) WHERE resolution IS NOT NULL;
CREATE UNIQUE INDEX pairing_of_person ON pairing (tenant, channel, account, sender_id)
 WHERE state IN ('pending', 'approved');
CREATE UNIQUE INDEX pairing_of_code ON pairing (code) WHERE state = 'pending';

-- How far a channel has come in what its platform hands out. Everything up to there is in the inbox.
CREATE TABLE cursor_position (
    channel  text NOT NULL,
    account  text NOT NULL,
    name     text NOT NULL,
    value    text NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel, account, name)
);

-- Events that nobody understood, for whoever mends the channel. Bounded per channel.
CREATE TABLE quarantined (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel     text NOT NULL,
    account     text NOT NULL,
    payload     text NOT NULL,
    problem     text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX quarantined_of_channel ON quarantined (channel, id);

-- Files that came with messages, or were handed to us for one that follows (`message_id` is NULL).
-- They are fetched when the turn that reads them begins.
CREATE TABLE attachment (
    id             uuid PRIMARY KEY,
    schema_version smallint NOT NULL DEFAULT 1,
    message_id     uuid REFERENCES inbox (message_id) ON DELETE CASCADE,
    position       integer NOT NULL DEFAULT 0,
    name           text NOT NULL,
    content_type   text NOT NULL,
    size           bigint,
    channel        text NOT NULL,
    source         text NOT NULL,
    state          text NOT NULL CHECK (state IN ('pending', 'stored', 'refused', 'failed')),
    -- Why there is nothing of it, for the person and the model.
    problem        text,
    data           bytea,
    -- What a document says, and whether it says more than that.
    text           text,
    cut            boolean NOT NULL DEFAULT false,
    -- Of a picture, in pixels.
    width          integer,
    height         integer,
    created_at     timestamptz NOT NULL DEFAULT now(),
    -- A document that was handed to us may be here before it is read.
    CHECK (state = 'pending' OR (state = 'stored') = (data IS NOT NULL)),
    CHECK ((state IN ('refused', 'failed')) = (problem IS NOT NULL))
);

-- Pictures and archives are compressed already.
ALTER TABLE attachment ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX attachment_of_message ON attachment (message_id, position)
 WHERE message_id IS NOT NULL;
CREATE INDEX attachment_unclaimed ON attachment (created_at) WHERE message_id IS NULL;

-- What is known of a message's files, in their order, with so much of what documents say; null is none.
CREATE FUNCTION files_of(message uuid, longest integer) RETURNS text LANGUAGE sql STABLE
RETURN (SELECT jsonb_agg(jsonb_build_object(
                   'id', id, 'name', name, 'content_type', content_type, 'size', size,
                   'state', state, 'problem', coalesce(problem, ''), 'text', left(text, longest),
                   'cut', cut OR coalesce(length(text) > longest, false),
                   'width', coalesce(width, 0), 'height', coalesce(height, 0))
                   ORDER BY position)::text
          FROM attachment
         WHERE message_id = message);

-- What people think of an answer, by the emoji that they put to it.
CREATE TABLE reaction (
    delivery_id uuid NOT NULL REFERENCES outbox (delivery_id) ON DELETE CASCADE,
    turn_id     uuid REFERENCES turn ON DELETE CASCADE,
    sender_id   text NOT NULL,
    emoji       text NOT NULL,
    -- 1 is good, -1 is poor, 0 says nothing about it.
    verdict     smallint NOT NULL CHECK (verdict IN (-1, 0, 1)),
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (delivery_id, sender_id, emoji)
);

CREATE INDEX reaction_of_turn ON reaction (turn_id) WHERE turn_id IS NOT NULL;
