-- Lanes at their best: what gives up its place in a full lane, work that several nodes share, and
-- what a day may cost.

-- A node that leaves by itself hands its turns over; one that dies may have died of them.
ALTER TABLE node ADD COLUMN left_at timestamptz;

-- Whoever receives for a channel that only one process may poll, while its node's lease lasts.
CREATE TABLE receiver (
    channel text NOT NULL,
    account text NOT NULL,
    owner   uuid NOT NULL,
    PRIMARY KEY (channel, account)
);

-- What the people of a conversation chose for it; NULL follows the channel, then the configuration.
ALTER TABLE session
    -- NULL is not known yet: nobody has written there since this column is there.
    ADD COLUMN chat_type text CHECK (chat_type IN ('direct', 'group', 'channel')),
    ADD COLUMN debounce_window text CHECK (debounce_window IN ('fixed', 'sliding')),
    ADD COLUMN cap integer CHECK (cap BETWEEN 1 AND 1000),
    ADD COLUMN drop text CHECK (drop IN ('summarize', 'oldest', 'newest', 'block')),
    ADD COLUMN sends boolean;

ALTER TABLE turn
    ADD COLUMN pool text NOT NULL DEFAULT 'interactive'
        CHECK (pool IN ('interactive', 'background')),
    -- How often a process died, or gave up, while it worked on this turn.
    ADD COLUMN deaths integer NOT NULL DEFAULT 0 CHECK (deaths >= 0);

-- `overflowed` gave up its place in a full lane; its lane's next turn reads a summary of it.
ALTER TABLE inbox
    DROP CONSTRAINT inbox_state_check,
    DROP CONSTRAINT inbox_outcome_check,
    DROP CONSTRAINT inbox_check,
    ADD CONSTRAINT inbox_state_check
        CHECK (state IN ('waiting', 'overflowed', 'taken', 'done')),
    ADD CONSTRAINT inbox_outcome_check
        CHECK (outcome IN ('answered', 'injected', 'superseded', 'interrupted', 'failed',
                           'withdrawn', 'command', 'summarized', 'dropped', 'muted')),
    ADD CONSTRAINT inbox_unsettled_check
        CHECK (state NOT IN ('waiting', 'overflowed') OR turn_id IS NULL),
    ADD CONSTRAINT inbox_waiting_check CHECK (state <> 'waiting' OR outcome IS NULL);

CREATE INDEX inbox_overflowed ON inbox (session_id, id) WHERE state = 'overflowed';

-- `summarized` stands for many lines that gave up their places.
ALTER TABLE entry
    DROP CONSTRAINT entry_disposition_check,
    ADD CONSTRAINT entry_disposition_check
        CHECK (disposition IN ('asked', 'injected', 'superseded', 'summarized'));

-- A delivery waits for the older ones of its session, in whose hands they may be.
DROP INDEX outbox_open;
CREATE INDEX outbox_open ON outbox (session_id, id) WHERE state IN ('pending', 'sending');

CREATE INDEX outbox_of_turn ON outbox (turn_id) WHERE turn_id IS NOT NULL;

-- Every model call of a metered agent, entered with the most it may cost before it is made, and
-- corrected by what it did cost. A call whose end nobody saw keeps its estimate. Costs are
-- millionths of the unit that prices are given in.
CREATE TABLE model_call (
    id       uuid PRIMARY KEY,
    turn_id  uuid NOT NULL REFERENCES turn,
    tenant   text NOT NULL,
    agent    text NOT NULL,
    day      date NOT NULL,
    cost     bigint NOT NULL CHECK (cost >= 0),
    ended    boolean NOT NULL DEFAULT false
);

CREATE INDEX model_call_of_turn ON model_call (turn_id);

-- The sums of model_call, so that one row tells whether one more call may be made.
CREATE TABLE spend (
    tenant text NOT NULL,
    agent  text NOT NULL,
    day    date NOT NULL,
    cost   bigint NOT NULL DEFAULT 0 CHECK (cost >= 0),
    PRIMARY KEY (tenant, agent, day)
);
