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
    ADD COLUMN forked_seq bigint,
    -- Where its people live, which decides when their day ends; NULL follows the configuration.
    ADD COLUMN time_zone text,
    -- Whether another model may answer when the chosen one cannot (prefer) or none (strict).
    ADD COLUMN model_pinning text NOT NULL DEFAULT 'prefer'
        CHECK (model_pinning IN ('prefer', 'strict')),
    -- Up to this entry what was said is removed, soon or already. The row stays, for no two lines
    -- ever have the same number, and so do the keys of its messages for a while: an event that a
    -- platform repeats is not answered again.
    ADD COLUMN removed_seq bigint NOT NULL DEFAULT 0 CHECK (removed_seq <= last_seq),
    -- Lines up to this one are being brought in from elsewhere; NULL as soon as all of them are here.
    ADD COLUMN copying_seq bigint;

-- People who began anew were told that the assistant forgets what they had said.
UPDATE session
   SET begun_at = created_at, last_said_at = last_active_at, flushed_seq = reset_seq;

ALTER TABLE session
    ADD CONSTRAINT session_pinning_check CHECK (model IS NOT NULL OR model_pinning = 'prefer');

-- What people began anew after is brought into memory; few are ever in here.
CREATE INDEX session_left_behind ON session (id) WHERE flushed_seq < reset_seq;
CREATE INDEX session_removed ON session (id) WHERE removed_seq > 0;

-- Who asked, which decides what may be remembered and recalled in the turn. Empty: nobody knows,
-- the turn began before this column was there.
ALTER TABLE turn ADD COLUMN asked_by text NOT NULL DEFAULT '';

-- A conversation may go on at several addresses. What is answered goes where it was asked for: the
-- address is frozen with the message, and with its turn.
ALTER TABLE inbox ADD COLUMN chat text, ADD COLUMN thread text;

UPDATE inbox SET chat = session.chat, thread = session.thread
  FROM session WHERE session.id = inbox.session_id;

ALTER TABLE turn
    ADD COLUMN channel text, ADD COLUMN account text, ADD COLUMN chat text, ADD COLUMN thread text;

UPDATE turn
   SET channel = session.channel, account = session.account, chat = session.chat,
       thread = session.thread
  FROM session WHERE session.id = turn.session_id;

-- Machine after machine is upgraded, and until the last is, daemons of the release before this one
-- write rows that lack what is new. What follows completes them, and can go with the next release;
-- then these columns can be NOT NULL. It is done after the insert, because a conversation may come
-- with the same statement as its first message.
CREATE FUNCTION take_address_of_session() RETURNS trigger
LANGUAGE plpgsql AS $take$
BEGIN
    EXECUTE format($$
        UPDATE %I AS new
           SET channel = session.channel, account = session.account, chat = session.chat,
               thread = session.thread
          FROM session
         WHERE new.id = $1.id AND session.id = new.session_id
    $$, TG_TABLE_NAME) USING NEW;
    RETURN NULL;
END
$take$;

CREATE TRIGGER inbox_without_address AFTER INSERT ON inbox
    FOR EACH ROW WHEN (NEW.chat IS NULL) EXECUTE FUNCTION take_address_of_session();
CREATE TRIGGER turn_without_address AFTER INSERT ON turn
    FOR EACH ROW WHEN (NEW.chat IS NULL) EXECUTE FUNCTION take_address_of_session();

-- They take back the choice of a model and do not know that it may be strict.
CREATE FUNCTION no_longer_pinned() RETURNS trigger
LANGUAGE plpgsql AS $pinned$
BEGIN
    NEW.model_pinning := 'prefer';
    RETURN NEW;
END
$pinned$;

CREATE TRIGGER session_without_model BEFORE UPDATE OF model ON session
    FOR EACH ROW WHEN (NEW.model IS NULL AND OLD.model IS NOT NULL)
    EXECUTE FUNCTION no_longer_pinned();

-- Under which name somebody is heard, and read later: a prompt that shows a line says the same of it
-- as the one before.
CREATE FUNCTION speaker_of(sender_name text, sender_id text) RETURNS text
LANGUAGE sql IMMUTABLE AS $speaker$ SELECT coalesce(nullif(sender_name, ''), sender_id, '') $speaker$;

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
    kind           text NOT NULL CHECK (kind IN ('fact', 'pre_compaction_flush')),
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
    -- The model that its vector is of; empty while it has none.
    vector_model   text NOT NULL DEFAULT '',
    CHECK ((kind = 'pre_compaction_flush') = (message_count IS NOT NULL))
);

CREATE INDEX memory_of_scope ON memory (tenant, scope, created_at DESC, id DESC);
-- Scopes are in it, so that a word which everybody uses is found in one scope without a look at the
-- others. An array, because its operators need no extension.
CREATE INDEX memory_words ON memory USING gin ((ARRAY[scope]), words);
CREATE INDEX memory_without_vector ON memory (vector_model);

-- What memories mean, as vectors, where pgvector is there. A server may lack it, or keep its users
-- from adding it: then this returns why and changes nothing, and memory is searched by its words.
-- Called here, and again whenever a daemon starts with a model for vectors, which names their size.
CREATE FUNCTION prepare_vectors(dimensions integer) RETURNS text
LANGUAGE plpgsql AS $prepare$
DECLARE
    version text;
BEGIN
    -- Daemons may start at the same time.
    PERFORM pg_advisory_xact_lock(hashtext('opencraw vectors'));
    IF to_regtype('halfvec') IS NULL THEN
        CREATE EXTENSION IF NOT EXISTS vector;
    END IF;
    -- Older ones cannot go on through an index until enough is found.
    SELECT extversion INTO version FROM pg_extension WHERE extname = 'vector';
    IF regexp_match(version, '^(\d+)\.(\d+)')::integer[] < '{0,8}' THEN
        RETURN format('pgvector %s is too old, 0.8 is needed: install it, then ALTER EXTENSION '
                      'vector UPDATE', version);
    END IF;
    IF to_regclass('memory_vector') IS NULL THEN
        EXECUTE $$
            CREATE TABLE memory_vector (
                id     uuid PRIMARY KEY REFERENCES memory ON DELETE CASCADE,
                tenant text NOT NULL,
                scope  text NOT NULL,
                model  text NOT NULL,
                vector halfvec NOT NULL
            )
        $$;
        -- They are read by the thousand: kept in their rows, and not behind them.
        ALTER TABLE memory_vector ALTER COLUMN vector SET STORAGE MAIN;
        EXECUTE 'CREATE INDEX memory_vector_of_scope ON memory_vector (tenant, scope)';
    END IF;
    -- An index takes vectors of one size, and of no more than 4,000 numbers.
    IF dimensions BETWEEN 1 AND 4000 THEN
        EXECUTE format($$
            CREATE INDEX IF NOT EXISTS memory_vector_%1$s ON memory_vector
             USING hnsw ((vector::halfvec(%1$s)) halfvec_cosine_ops)
             WHERE vector_dims(vector) = %1$s
        $$, dimensions);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN sqlerrm;
END
$prepare$;

DO $$ BEGIN PERFORM prepare_vectors(0); END $$;

-- The memories of these scopes whose vectors are nearest to one. Few are compared one by one, which
-- finds them all; many through the index, which finds nearly all and takes as long for a million.
CREATE FUNCTION nearest_memories(
    in_tenant text, in_scopes text[], of_model text, asked real[], most integer
) RETURNS TABLE (id uuid, similarity float8)
LANGUAGE plpgsql STABLE AS $nearest$
DECLARE
    dimensions integer := cardinality(asked);
    few boolean;
BEGIN
    SELECT count(*) <= 3000 INTO few
      FROM (SELECT FROM memory_vector
             WHERE tenant = in_tenant AND scope = ANY (in_scopes) LIMIT 3001) AS mine;
    IF few OR dimensions > 4000 THEN
        RETURN QUERY EXECUTE $$
            SELECT id, 1 - (vector <=> $4::halfvec)
              FROM memory_vector
             WHERE tenant = $1 AND scope = ANY ($2) AND model = $3
             ORDER BY vector <=> $4::halfvec
             LIMIT $5
        $$ USING in_tenant, in_scopes, of_model, asked, most;
        RETURN;
    END IF;
    -- The index does not know of scopes: it goes on until it has found enough in these.
    PERFORM set_config('hnsw.iterative_scan', 'relaxed_order', true),
            set_config('hnsw.ef_search', most::text, true);
    RETURN QUERY EXECUTE format($$
        SELECT id, 1 - (vector::halfvec(%1$s) <=> $4::halfvec(%1$s))
          FROM memory_vector
         WHERE tenant = $1 AND scope = ANY ($2) AND model = $3 AND vector_dims(vector) = %1$s
         ORDER BY vector::halfvec(%1$s) <=> $4::halfvec(%1$s)
         LIMIT $5
    $$, dimensions) USING in_tenant, in_scopes, of_model, asked, most;
END
$nearest$;
