//! Every bound on what input can make grow, with its unit in its name.
//!
//! A limit that an operator may move is a default here and a key in `config.toml`; a limit that
//! protects the program from its own inputs (JSON depth, findings a message) is a constant only.

/// Nesting of arrays and objects in a JSON body before it is refused or `unverifiable`.
pub const JSON_DEPTH: usize = 128;

/// Findings reported for one message; the rest are counted in the last one.
pub const FINDINGS_PER_MESSAGE: usize = 32;

/// Values (elements, members, and what they hold) of a message of which every fault is looked for;
/// of a larger one that does not conform, the first fault is told.
pub const VALUES_TOLD: usize = 20_000;

/// Header lines of an answer to a delivery.
pub const DELIVERY_ANSWER_HEADERS: usize = 100;

/// Bytes of an answer to the gateway's own sign-in.
pub const TOKEN_ANSWER_BYTES: usize = 64 * 1024;

/// Bytes of a client's sign-in that is looked at for the OAuth client it names.
pub const SIGN_IN_BYTES: usize = 64 * 1024;

/// Bytes of an OAuth client's id that is learnt.
pub const CLIENT_ID_BYTES: usize = 256;

/// Tokens whose OAuth client is known at once; those that are used least are forgotten first.
pub const LEARNT_TOKENS: u64 = 100_000;

/// Entries the ledger keeps in memory.
/// Records of the ledger that the admin side shows, and that a ledger in memory keeps.
pub const LEDGER_ENTRIES: usize = 2_000;

/// Commands that wait for the ledger's writer; a sender waits for a place.
pub const LEDGER_QUEUE: usize = 1_024;

/// Commands that one commit of the ledger carries.
pub const LEDGER_BATCH_COMMANDS: usize = 256;

/// How long an outcome waits for an intent to share its commit with, in milliseconds. No answer waits
/// for an outcome, but a compensated release's.
pub const LEDGER_COMPANY_MS: u64 = 1;

/// Bytes of text that one commit of the ledger carries, give or take one command.
pub const LEDGER_BATCH_BYTES: usize = 1024 * 1024;

/// The longest that one transaction of the ledger may take before its callers are told that it
/// failed, in milliseconds.
pub const LEDGER_WRITE_MS: u64 = 5_000;

/// The shortest and the longest wait before a failed ledger is opened again, in milliseconds.
pub const LEDGER_BACKOFF_MS: std::ops::RangeInclusive<u64> = 100..=5_000;

/// Time between two signs of life of a gateway in a ledger that gateways share, in milliseconds.
pub const LEDGER_HEARTBEAT_MS: u64 = 1_000;

/// Silence after which a gateway in a shared ledger counts as dead, in milliseconds: longer than a
/// transaction may take.
pub const LEDGER_DEAD_MS: u64 = 15_000;

/// The same where a gateway of the same configured name has started since.
pub const LEDGER_RESTARTED_MS: u64 = 4_000;

/// Time between two writes of what the inventory has counted, in milliseconds.
pub const LEDGER_INVENTORY_MS: u64 = 1_000;

/// Kinds of use (client and key) that the inventory holds before it writes them; more are not
/// counted until it has.
pub const LEDGER_INVENTORY_PENDING: usize = 10_000;

/// Bytes of an SDK's version that the inventory keeps.
pub const SDK_VERSION_BYTES: usize = 24;

/// Bytes of an admin side's answer to a command of ours.
pub const ADMIN_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of JSON beside an inventory entry.
pub const LEDGER_DETAIL_BYTES: usize = 4_096;

/// Events for subscriptions that one command of the ledger may carry.
pub const LEDGER_EVENTS: usize = 128;

/// Bytes of one event's JSON.
pub const LEDGER_EVENT_BYTES: usize = 16 * 1024;

/// Deliveries of one subscription that may wait; what comes beyond is dropped, with an alarm.
pub const DELIVERIES_WAITING: u64 = 100_000;

/// Deliveries of one subscription that one gateway sends at once.
pub const DELIVERIES_AT_ONCE: usize = 16;

/// Deliveries that one look into the ledger examines, for one subscription.
pub const DELIVERIES_EXAMINED: usize = 200;

/// Deliveries that one look at them shows.
pub const DELIVERIES_SHOWN: usize = 1_000;

/// Dead deliveries that one command brings back.
pub const DELIVERIES_REDRIVEN: usize = 10_000;

/// Bytes of the head of an answer to a delivery.
pub const DELIVERY_HEAD_BYTES: usize = 16 * 1024;

/// Bytes of the body of an answer to a delivery that are read before the connection is closed; none are kept.
pub const DELIVERY_ANSWER_BYTES: usize = 64 * 1024;

/// The longest `Retry-After` that is believed, in milliseconds.
pub const DELIVERY_RETRY_AFTER_MS: u64 = 24 * 3_600_000;

/// What a claim outlives the longest try of its delivery by, in milliseconds.
pub const DELIVERY_CLAIM_MS: u64 = 10_000;

/// Steps that `hooks.retry_schedule` may have.
pub const DELIVERY_STEPS: usize = 100;

/// Addresses of one name that a delivery tries.
pub const DELIVERY_ADDRESSES: usize = 4;

/// Events about broken contracts that one gateway tells in a minute; more are only counted.
pub const VIOLATIONS_A_MINUTE: u32 = 60;

/// Rows that one statement of the ledger puts in: each has up to eight values, and PostgreSQL takes
/// 65,535.
pub const LEDGER_ROWS: usize = 1_000;

/// Heads of other writers' chains that a start of the ledger writes down, the newest first.
pub const LEDGER_HEADS: usize = 1_000;

/// Records, the newest, of which one has to be made with the key that a ledger is opened with.
pub const LEDGER_KEY_RECORDS: i64 = 8;

/// Records that a verification of the ledger holds at once.
pub const LEDGER_VERIFY_PAGE: usize = 1_000;

/// Bytes of an anchor's file.
pub const LEDGER_ANCHOR_BYTES: u64 = 1024 * 1024;

/// Time between two looks for records that are older than `ledger.keep_days`, in milliseconds.
pub const LEDGER_PRUNE_MS: u64 = 3_600_000;

/// Records that one transaction of the ledger removes: what is written waits for it.
pub const LEDGER_PRUNE_RECORDS: u64 = 5_000;

/// Ids that one entry of the ledger names: as many as a deletion-protection call may.
pub const LEDGER_SUBJECTS: usize = 100;

/// Later commands on one conversation, the newest first, that one look into the ledger gives.
pub const LEDGER_LATER: usize = 100;

/// Bytes of an id in the ledger; a longer one is kept as its hash.
pub const LEDGER_SUBJECT_BYTES: usize = 128;

/// Bytes of a body that a change reads, whatever the limit for checking: beyond it the request is
/// refused, because a change that cannot read it would let it pass unshielded.
pub const CHANGE_BODY_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of a body by which a request may claim one of the places that are kept for pauses: a pause
/// that does nothing else has some thirty.
pub const PAUSE_BODY_BYTES: usize = 16 * 1024;

/// Bodies that are read at once to know whether they pause, of requests that have no place yet; for
/// one more the oldest of the address that has the most gives way. With their bytes: 16 MiB.
pub const PAUSES_UNREAD: usize = 1_024;

/// Bytes of an `OpenAPI` or Overlay document.
pub const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Files beside it that one document may reach, those of the URI table included.
pub const DOCUMENT_FILES: usize = 1_000;

/// Warnings about one document's schemas that are spelt out.
pub const DOCUMENT_NOTES: usize = 500;

/// Path prefixes that the variables of one server may make.
pub const SERVER_PREFIXES: usize = 64;

/// Pairs of path segments that are compared to find ambiguous templates.
pub const AMBIGUITY_STEPS: usize = 500_000;

/// Events of a YAML document, what its aliases repeat included.
pub const YAML_EVENTS: usize = 2_000_000;

/// Events that the aliases of a YAML document may repeat: many times what documents of the field do.
pub const YAML_ALIAS_EVENTS: usize = 100_000;

/// Stack of the thread that reads a YAML document.
pub const YAML_STACK_BYTES: usize = 16 * 1024 * 1024;

/// References that may lead to one another before a document is called circular.
pub const REFERENCE_HOPS: usize = 32;

/// Schemas that one checked edge (a body, a parameter) may reach before it is `unverifiable`.
pub const SCHEMAS_PER_EDGE: usize = 10_000;

/// Schemas that edges must reach in common before they share a validator: less is compiled again for
/// each, and only when it is needed.
pub const SCHEMAS_SHARED: usize = 16;

/// Circles of schemas that are linked to one another for which is weighed what edges share; of more
/// than these, all edges share one validator.
pub const CIRCLES_WEIGHED: usize = 8_000;

/// Schemas that may be held against one and the same value of a message, combined by `allOf` and its
/// kin, before their edge is `unverifiable`.
pub const JUDGEMENTS_PER_VALUE: u64 = 20_000;

/// Visits of schemas that lead back to themselves, for one message, before it is `unverifiable`.
pub const SCHEMA_VISITS: u64 = 1_000_000;

/// The same while errors are gathered, each of which takes memory; beyond it one finding says that
/// the message is broken.
pub const SCHEMA_VISITS_TOLD: u64 = 50_000;

/// Schemas that may combine one another in a row before their edge is `unverifiable`.
pub const COMBINED_DEPTH: usize = 128;

/// Bytes of compiled program one `pattern` may need.
pub const PATTERN_BYTES: usize = 1024 * 1024;

/// Characters of a message's own name (an undeclared query parameter) that a finding shows.
pub const NAME_SHOWN: usize = 64;

/// Steps back that one match of a `pattern` may take before it is given up as `unverifiable`. Only
/// patterns with look-around or back-references take any.
pub const PATTERN_BACKTRACKS: usize = 100_000;

/// Bytes of a `pattern` that only backtracking can match.
pub const BACKTRACKING_PATTERN_BYTES: usize = 4096;

/// Values of an `enum` that a finding spells out.
pub const ENUM_VALUES_SHOWN: usize = 16;

/// Bytes that a compressed body may have once it is decoded for checking, after each of its codings:
/// [`DECODED_FACTOR`] times its own, but as many as the first of these in any case and as the last
/// at most.
pub const DECODED_BODY_BYTES: std::ops::RangeInclusive<usize> = 256 * 1024..=8 * 1024 * 1024;

/// How many times longer than it came a compressed body may be once it is decoded. Measured with gzip
/// on what vendors' APIs answer: pages of recordings and users 6 to 15 times, recordings that differ
/// in their ids alone 22, a report of nothing but zeros 49 (206 kB). A bomb is 1,000 times longer.
pub const DECODED_FACTOR: usize = 25;

/// Values of JSON that came compressed, in any case; more are checked where there are at most two for
/// each byte that came. A value takes 32 bytes while it is checked, and JSON of the field has one for
/// two to seven compressed bytes.
pub const DECODED_VALUES: usize = 20_000;

/// Content codings in a row that are undone for checking.
pub const CONTENT_CODINGS: usize = 4;

/// Parts of a multipart body that are checked.
pub const MULTIPART_PARTS: usize = 1_000;

/// Bytes of the headers of one part of a multipart body.
pub const MULTIPART_HEADER_BYTES: usize = 16 * 1024;

/// Bytes of a request body that the mock reads before it answers 413.
pub const MOCK_BODY_BYTES: usize = 1024 * 1024;

/// Requests the mock's journal keeps; the oldest go first.
pub const MOCK_JOURNAL_ENTRIES: usize = 20_000;

/// Bytes of paths, queries and bodies the mock's journal keeps; the oldest go first.
pub const MOCK_JOURNAL_BYTES: usize = 32 * 1024 * 1024;

/// Faults that can be set at once.
pub const MOCK_FAULTS: usize = 1_000;

/// The longest delay of one fault, in milliseconds.
pub const MOCK_FAULT_DELAY_MS: u64 = 300_000;

/// Connections the mock serves at once; more wait in the listener's queue.
pub const MOCK_CONNECTIONS: usize = 4_096;

/// Seconds a request's head may take to arrive at the mock.
pub const MOCK_HEAD_SECONDS: u64 = 30;

/// Seconds a request's body may take to arrive at the mock.
pub const MOCK_BODY_SECONDS: u64 = 60;

/// Seconds the mock waits for requests under way when it is told to stop.
pub const MOCK_DRAIN_SECONDS: u64 = 10;

/// Kinds of findings kept at once; the least frequent give way.
pub const FINDING_KINDS: u64 = 10_000;

/// Bytes of a finding's message pointer that are kept: property names come from the message.
pub const FINDING_POINTER_BYTES: usize = 1024;

/// Exchanges that a kind of finding names: the first, and the last ones.
pub const FINDING_EXEMPLARS: usize = 5;

/// Kinds of answers that one operation did not declare, kept for coverage; more are only counted.
pub const UNDECLARED_ANSWERS: usize = 32;

/// Method and path shapes that a contract does not know, kept for coverage; more are only counted.
pub const UNKNOWN_OPERATIONS: usize = 1_000;

/// Segments of a path that the shape of an unknown operation shows.
pub const UNKNOWN_SEGMENTS: usize = 16;

/// Bytes of one HAR file.
pub const HAR_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Bytes of one entry of a HAR file: it is held whole while it is judged.
pub const HAR_ENTRY_BYTES: u64 = 64 * 1024 * 1024;

/// Cases (operation and status) that a check keeps apart; the rest are one case.
pub const CHECK_CASES: usize = 10_000;

/// Exchanges that a check names because they did not conform; more are only counted.
pub const CHECK_EXCHANGES: usize = 100_000;

/// Bytes of an event's id.
pub const TRIGGER_ID_BYTES: usize = 256;

/// Bytes of a source that an event's payload names; a longer one is kept as its hash.
pub const TRIGGER_SOURCE_BYTES: usize = 64;

/// Conversations that one event may protect or release: as many as one call of the vendor's takes.
pub const TRIGGER_CONVERSATIONS: usize = 100;

/// Conditions in one rule of a trigger.
pub const TRIGGER_CONDITIONS: usize = 256;

/// Bytes of one pattern in a rule, once it is compiled.
pub const TRIGGER_PATTERN_BYTES: usize = 256 * 1024;

/// Events that wait for their turn on one conversation; more are refused.
pub const TRIGGER_WAITING_PER_CONVERSATION: usize = 256;

/// Older events about protection that are looked at before one is done; where more wait, it waits.
pub const TRIGGER_OLDER: usize = 1_000;

/// Lists of conversations whose protection one gateway changes at once; the others wait.
pub const TRIGGER_PROTECTIONS: usize = 16;

/// Bodies of events that are read at once before anybody has proven them; for one more the oldest of
/// the address that has the most gives way.
pub const TRIGGER_UNPROVEN: usize = 128;

/// Bytes of `trigger.reason`.
pub const TRIGGER_REASON_BYTES: usize = 256;

/// Leases on one conversation; another source's pause is carried out and not held.
pub const LEASES_PER_CONVERSATION: usize = 64;

/// Sources of a conversation whose last event's time is remembered, and events of which a failure
/// was told that may turn out well yet.
pub const LEASE_SOURCES: usize = 256;

/// Event ids that are known at once; the ledger knows them all.
pub const TRIGGER_REPLAYS: u64 = 100_000;

/// Time for which an event can be asked about once it has ended, and for which its id is refused
/// at least, in milliseconds.
pub const TRIGGER_KEEP_MS: u64 = 3_600_000;

/// Conversations that one gateway settles at once; the others wait.
pub const LEASE_CONVERSATIONS: usize = 64;

/// Conversations of which it is remembered that a client paused them while the ledger could not say
/// so; beyond them all conversations count as paused.
pub const UNRECORDED_PAUSES: usize = 10_000;

/// For how long it is remembered, in hours: longer than any lease lasts.
pub const UNRECORDED_PAUSE_HOURS: i64 = 49;

/// Conversations of which it is remembered for five seconds that a client paused them while nobody
/// followed pauses; of more nothing is known.
pub const UNFOLLOWED_PAUSES: usize = 10_000;

/// The longest that `upstream.breaker.longest_open_ms` may be, in milliseconds: a moment so far away
/// can still be counted, and an upstream that is well again is found the same hour.
pub const LONGEST_OPEN_MS: u64 = 3_600_000;

/// Hexadecimal digits of a chunk's size, leading zeros included.
pub const CHUNK_SIZE_DIGITS: usize = 15;
/// Bytes of the extensions of one chunked body's chunks, all together.
pub const CHUNK_EXTENSION_BYTES: usize = 4 * 1024;
/// Bytes of the trailers of one chunked body, at most: hyper takes no more.
pub const TRAILERS_BYTES: usize = 16 * 1024;
/// Bytes of interim answers (1xx) that wait for one client; what finds no room is left out.
pub const INTERIM_BYTES: usize = 16 * 1024;
/// How long requests whose client has gone have to be admitted, where they came before its end and
/// stand behind another, in milliseconds.
pub const END_KEPT_MS: u64 = 1_000;
/// Bytes of answers that are written to a client that has gone, as if it had not.
pub const GONE_BYTES: usize = 1024 * 1024;
/// HTTP/2 streams that a client may reset before they are looked at, and that are kept after an
/// error of its own, before its connection ends (rapid reset, CVE-2023-44487).
pub const H2_RESETS: usize = 64;
/// Bytes of answers that wait in one HTTP/2 connection's memory, a stream.
pub const H2_SEND_BYTES: usize = 64 * 1024;
/// Bytes of request bodies that a client may send before they are read: of one stream and of all.
pub const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// Of all.
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of an answer's head over HTTP/2, as the RFC counts them (§6.5.2).
pub const H2_ANSWER_HEAD_BYTES: u32 = 64 * 1024;
/// Bytes of an answer over HTTP/2 that an upstream may send before they are read.
pub const H2_ANSWER_WINDOW_BYTES: u32 = 256 * 1024;
/// How long a client that has its last answer may go on sending before its connection is cut, in
/// milliseconds, and how many bytes.
pub const LINGER_MS: u64 = 2_000;
/// The bytes.
pub const LINGER_BYTES: usize = 1024 * 1024;

/// Bytes of a scenario's file.
pub const SCENARIO_BYTES: u64 = 4 * 1024 * 1024;

/// Calls of one rehearsal: what came of each is held until it is written down.
pub const REHEARSE_CALLS: usize = 10_000;

/// Bytes of an answer in a rehearsal's lane.
pub const REHEARSE_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The most that a limit in the configuration may be that counts connections, requests or events: each
/// has its memory, and tokio's semaphores hold as many on every machine.
pub const CONFIGURED_COUNT: usize = 1_000_000;

/// The most that `gateway.threads` may be.
pub const GATEWAY_THREADS: usize = 512;

/// The most that `limits.header_count` and `limits.answer_header_count` may be: hyper clears as many
/// places for every message, and http's own map of headers ends at eight times as many.
pub const HEADER_LINES: usize = 4_096;

/// The most that `limits.streams` may be.
pub const STREAMS: u32 = 10_000;

/// The most that `limits.body_bytes` and `limits.answer_bytes` may be.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024 * 1024;

/// The most that `limits.header_bytes` may be.
pub const HEAD_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// The most that `limits.trigger_body_bytes` may be.
pub const EVENT_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// The longest that a time in milliseconds in the configuration may be: a week. A moment so far away can
/// still be counted.
pub const LONGEST_MS: u64 = 7 * 24 * 3_600_000;

/// The most that `ledger.keep_days` may be: a century, which can be counted back from today.
pub const LONGEST_KEEP_DAYS: u32 = 36_525;

/// The most that `upstream.retry.most` may be.
pub const CONFIGURED_RETRIES: u32 = 100;
