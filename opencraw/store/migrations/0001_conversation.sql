-- Conversations that survive anything: who owns work (node), where talk belongs (session), what came
-- in (inbox), what was done about it (turn, entry), and what goes out (outbox).

-- One row per daemon process. Whoever finds a node's lease over may take its turns; the fence on
-- every turn keeps it from writing should it live after all.
CREATE TABLE node (
    id          uuid PRIMARY KEY,
    -- The data directory it runs on. Only one process holds a data directory, so a new node knows
    -- at once that its predecessors of the same home are dead and need not wait for their leases.
    home        uuid NOT NULL,
    host        text NOT NULL,
    pid         integer NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL
);

-- The durable conversation, and the lane: of one session's turns only one may run.
CREATE TABLE session (
    id                uuid PRIMARY KEY,          -- derived from key
    key               text NOT NULL UNIQUE,      -- tenant/agent/channel/account/chat/thread
    schema_version    smallint NOT NULL DEFAULT 1,
    tenant            text NOT NULL,
    agent             text NOT NULL,
    channel           text NOT NULL,
    account           text NOT NULL,
    chat              text NOT NULL,
    thread            text NOT NULL,
    opened_by         text NOT NULL,             -- the sender of its first message
    created_at        timestamptz NOT NULL DEFAULT now(),
    last_active_at    timestamptz NOT NULL DEFAULT now(),
    messages          bigint NOT NULL DEFAULT 0, -- that people said
    last_seq          bigint NOT NULL DEFAULT 0, -- of its newest entry
    reset_seq         bigint NOT NULL DEFAULT 0, -- prompts begin after this entry (/new)
    mode              text CHECK (mode IN ('collect', 'followup', 'steer', 'interrupt')),
    debounce_ms       integer CHECK (debounce_ms BETWEEN 0 AND 60000),
    model             text,
    prompt_tokens     bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cached_tokens     bigint NOT NULL DEFAULT 0,
    CHECK (reset_seq <= last_seq),
    CHECK (last_active_at >= created_at)
);

CREATE TABLE turn (
    id                uuid PRIMARY KEY,
    session_id        uuid NOT NULL REFERENCES session,
    schema_version    smallint NOT NULL DEFAULT 1,
    state             text NOT NULL CHECK (state IN ('running', 'done', 'interrupted', 'failed')),
    -- The fence. An effect names owner and attempt and is refused when either has changed; within
    -- an attempt effects are numbered, so that one whose commit got lost on the way back can be
    -- repeated without harm.
    owner             uuid NOT NULL,
    attempt           integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    writes            integer NOT NULL DEFAULT 0,
    -- A person asked for its end. Outlives the process that should have heard it.
    stop_requested    boolean NOT NULL DEFAULT false,
    correlation_id    uuid NOT NULL,
    origin            text NOT NULL,
    trigger_type      text NOT NULL,
    rights            text NOT NULL CHECK (rights IN ('owner', 'guest')),
    model             text NOT NULL,
    queue_collected_messages integer NOT NULL DEFAULT 0,
    queue_debounced_messages integer NOT NULL DEFAULT 0,
    queue_dropped_messages   integer NOT NULL DEFAULT 0,
    prompt_tokens     bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cached_tokens     bigint NOT NULL DEFAULT 0,
    failure           text,
    started_at        timestamptz NOT NULL DEFAULT now(),
    ended_at          timestamptz,
    CHECK ((state = 'running') = (ended_at IS NULL)),
    CHECK ((state = 'failed') = (failure IS NOT NULL))
);

-- The lane: two turns of one session cannot run at once, whoever tries.
CREATE UNIQUE INDEX one_running_turn_per_lane ON turn (session_id) WHERE state = 'running';

CREATE TABLE inbox (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,   -- the order of a lane
    message_id     uuid NOT NULL UNIQUE,
    session_id     uuid NOT NULL REFERENCES session,
    schema_version smallint NOT NULL DEFAULT 1,
    channel        text NOT NULL,
    account        text NOT NULL,
    dedupe_key     text NOT NULL,
    sender_id      text NOT NULL,
    sender_name    text NOT NULL,
    rights         text NOT NULL CHECK (rights IN ('owner', 'guest')),
    text           text NOT NULL,
    correlation_id uuid NOT NULL,
    origin         text NOT NULL,
    trigger_type   text NOT NULL,
    accepted_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    state          text NOT NULL CHECK (state IN ('waiting', 'taken', 'done')),
    turn_id        uuid REFERENCES turn,
    outcome        text CHECK (outcome IN
                       ('answered', 'injected', 'superseded', 'interrupted', 'failed',
                        'withdrawn', 'command')),
    -- However often a platform repeats an event, it is one message.
    UNIQUE (channel, account, dedupe_key),
    CHECK (state <> 'waiting' OR (turn_id IS NULL AND outcome IS NULL)),
    CHECK (state <> 'taken' OR turn_id IS NOT NULL),
    CHECK (state <> 'done' OR outcome IS NOT NULL)
);

CREATE INDEX inbox_waiting ON inbox (session_id, id) WHERE state = 'waiting';
CREATE INDEX inbox_of_turn ON inbox (turn_id) WHERE turn_id IS NOT NULL;

-- The transcript. Every line is written before the next step is taken.
CREATE TABLE entry (
    session_id     uuid NOT NULL REFERENCES session,
    seq            bigint NOT NULL,           -- without gaps
    schema_version smallint NOT NULL DEFAULT 1,
    turn_id        uuid REFERENCES turn,
    kind           text NOT NULL CHECK (kind IN
                       ('user', 'assistant', 'tool_started', 'tool_result', 'notice')),
    text           text NOT NULL,
    message_id     uuid,                      -- what a person said, or the delivery of a reply
    -- How a turn took a user's line up: the line it answers, one it heard on the way, or one that
    -- a newer line replaced before the turn began.
    disposition    text CHECK (disposition IN ('asked', 'injected', 'superseded')),
    tool_calls     jsonb,
    thinking       jsonb,                     -- what a provider wants back verbatim
    call_id        text,
    tool_name      text,
    failed         boolean NOT NULL DEFAULT false,
    interrupted    boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, seq),
    CHECK ((kind = 'user') = (disposition IS NOT NULL)),
    CHECK ((kind IN ('tool_started', 'tool_result')) = (call_id IS NOT NULL)),
    CHECK (kind = 'notice' OR turn_id IS NOT NULL)
);

CREATE INDEX entry_of_turn ON entry (turn_id, seq) WHERE turn_id IS NOT NULL;

CREATE TABLE outbox (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id    uuid NOT NULL UNIQUE,
    session_id     uuid NOT NULL REFERENCES session,
    schema_version smallint NOT NULL DEFAULT 1,
    turn_id        uuid REFERENCES turn,
    seq            bigint NOT NULL,           -- the entry that it delivers
    channel        text NOT NULL,
    account        text NOT NULL,
    chat           text NOT NULL,
    thread         text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('reply', 'notice')),
    text           text NOT NULL,
    tools          text[] NOT NULL DEFAULT '{}',
    interrupted    boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    state          text NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'dead')),
    -- Counted before each send: a crash in between leaves the trace that one may have arrived.
    attempts       integer NOT NULL DEFAULT 0,
    -- Of these, how many may have arrived: the platform took the request and said nothing.
    unknown        integer NOT NULL DEFAULT 0 CHECK (unknown <= attempts),
    owner          uuid,
    not_before     timestamptz,
    failure        text,
    CHECK ((state = 'dead') = (failure IS NOT NULL)),
    CHECK (state <> 'sending' OR (owner IS NOT NULL AND attempts > 0))
);

CREATE INDEX outbox_open ON outbox (id) WHERE state IN ('pending', 'sending');
CREATE INDEX outbox_of_session ON outbox (session_id, seq);
