-- Conversations of any length: what a prompt shows of them, what is remembered beyond them, and how
-- they end.

-- What prompts show of a conversation. These marks move seldom, so that most prompts begin with the
-- bytes of the one before and a vendor's cache knows them.
ALTER TABLE session
    -- Prompts begin after this entry. What came before is summed up in the checkpoint, or left out.
    ADD COLUMN begin_seq bigint NOT NULL DEFAULT 0 CHECK (begin_seq <= last_seq),
    -- The entry that sums up what lies before `begin_seq`; 0 is none.
    ADD COLUMN checkpoint_seq bigint NOT NULL DEFAULT 0 CHECK (checkpoint_seq <= last_seq),
    -- Up to this entry results of tools are shown short, and recalled memories not at all.
    ADD COLUMN pruned_seq bigint NOT NULL DEFAULT 0 CHECK (pruned_seq <= last_seq),
    -- Up to this entry what was said has gone into memory.
    ADD COLUMN flushed_seq bigint NOT NULL DEFAULT 0 CHECK (flushed_seq <= last_seq),
    -- A person asked for a summary; the text says what it should keep in focus.
    ADD COLUMN compaction_wanted text,
    -- Part of the marks around what others wrote: nobody outside can guess it.
    ADD COLUMN fence text NOT NULL DEFAULT substr(md5(gen_random_uuid()::text), 1, 12),
    -- When it last began anew.
    ADD COLUMN begun_at timestamptz NOT NULL DEFAULT now(),
    -- When a person last wrote there. Timers and the daemon's own words do not count.
    ADD COLUMN last_said_at timestamptz NOT NULL DEFAULT now(),
    -- Nobody wrote for long: it is not listed any more, and comes back with the next message.
    ADD COLUMN archived_at timestamptz,
    -- The conversation that it continues, and up to which of its entries.
    ADD COLUMN forked_from uuid REFERENCES session ON DELETE SET NULL,
    ADD COLUMN forked_seq bigint;

UPDATE session SET begun_at = created_at, last_said_at = last_active_at;

-- Who asked, which decides what may be remembered and recalled in the turn. Empty: nobody knows,
-- the turn began before this column was there.
ALTER TABLE turn ADD COLUMN asked_by text NOT NULL DEFAULT '';

-- `checkpoint` sums up the conversation up to entry `covers`; `recalled` is what memory brought up
-- for a turn, from `items`.
ALTER TABLE entry
    ADD COLUMN covers bigint,
    ADD COLUMN items uuid[],
    DROP CONSTRAINT entry_kind_check,
    ADD CONSTRAINT entry_kind_check CHECK (kind IN
        ('user', 'assistant', 'tool_started', 'tool_result', 'notice', 'checkpoint', 'recalled')),
    ADD CONSTRAINT entry_covers_check CHECK ((kind = 'checkpoint') = (covers IS NOT NULL)),
    ADD CONSTRAINT entry_items_check CHECK ((kind = 'recalled') = (items IS NOT NULL));

-- What is known beyond a conversation. A scope belongs to one person on one channel, to those who
-- listen in one group, or to everybody; nothing is ever read without naming scopes.
CREATE TABLE memory (
    id             uuid PRIMARY KEY,
    schema_version smallint NOT NULL DEFAULT 1,
    tenant         text NOT NULL,
    agent          text NOT NULL,
    scope          text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('fact', 'pre_compaction_flush', 'summary')),
    text           text NOT NULL CHECK (text <> ''),
    importance     real NOT NULL CHECK (importance BETWEEN 0 AND 1),
    -- Its words as they are searched for, made by the daemon (see opencraw/memory/words.py).
    words          tsvector NOT NULL,
    -- Where it was said, as far as that is known. Its session may be pruned.
    session_id     uuid,
    from_seq       bigint,
    to_seq         bigint,
    -- What a flush tells of the lines that it keeps.
    channel_id     text,
    sender_id      text,
    message_count  integer,
    token_estimate integer,
    said_at        timestamptz NOT NULL DEFAULT now(),
    created_at     timestamptz NOT NULL DEFAULT now(),
    -- A person said that it is otherwise.
    corrected_at   timestamptz,
    CHECK ((kind = 'pre_compaction_flush') = (message_count IS NOT NULL))
);

CREATE INDEX memory_of_scope ON memory (tenant, scope, created_at DESC);
CREATE INDEX memory_words ON memory USING gin (words);
