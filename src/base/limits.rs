//! Floor 0. Every bound in the system, in one place, each with its reason.
//!
//! Plain data: what reads configuration fills it in. Memory in use is at most the sum of these.

/// All bounds.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; the file descriptors of the process bound it further.
    pub connections_max: u32,
    /// Connections that have not identified themselves; a flood of strangers stops here.
    pub strangers_max: u32,
    /// From accept to a complete first packet (PRX1 peers are given at least 1 s).
    pub connect_ms_max: u64,
    /// From the first byte of a packet to its last, plus a millisecond for every KiB of it.
    pub packet_ms_max: u64,
    /// A packet before login: credentials and a name, nothing else.
    pub login_bytes_max: usize,
    /// A packet after login.
    pub packet_bytes_max: usize,
    /// The head of an HTTP request.
    pub http_head_bytes_max: usize,
    /// One WebSocket frame; never less than a packet after login may have.
    pub ws_frame_bytes_max: usize,
    /// How long a silent PRX1 peer is kept (its heartbeat) unless it asks for longer.
    pub idle_ms_max: u64,
    /// The longest keepalive a peer may ask for.
    pub keepalive_s_max: u16,
    /// Bytes read from one connection before the next one's turn.
    pub read_bytes_turn: usize,
    /// Packets taken from one connection before the next one's turn.
    pub packets_turn: usize,
    /// Bytes encoded for one connection in a turn.
    pub write_bytes_turn: usize,
    /// Connections accepted from one listener in a turn.
    pub accepts_turn: usize,
    /// Deliveries in memory for one session, in bytes; durable ones are left on disk beyond it.
    pub outbox_bytes_max: usize,
    /// Deliveries in memory for one session, counted.
    pub outbox_len_max: usize,
    /// Unacknowledged deliveries to one session.
    pub inflight_max: usize,
    /// Replies one connection may be owed (they wait for the disk, or for a slow reader).
    pub replies_max: usize,
    /// A peer that takes no byte for this long while some wait for it is cut.
    pub stuck_ms_max: u64,
    /// Sessions that outlive their connection.
    pub sessions_max: u32,
    /// How long a session waits for its owner to return.
    pub session_s_max: u64,
    /// Subscriptions of one session.
    pub subscriptions_max: usize,
    /// Levels of a topic or filter.
    pub levels_max: usize,
    /// Retained messages in a realm.
    pub retained_max: usize,
    /// A retained payload up to this size stays in memory, a longer one is read back from disk.
    pub retained_inline_bytes: usize,
    /// Queues of a realm.
    pub queues_max: usize,
    /// Items a queue in memory may hold.
    pub queue_len_max: usize,
    /// Bytes a queue in memory may hold.
    pub queue_bytes_max: usize,
    /// Bytes one read of the backlog brings back.
    pub fetch_bytes_max: usize,
    /// Memory of queues, retained messages and inboxes together; publishers wait above it.
    pub memory_bytes_max: usize,
    /// Password checks that wait for a worker or are with one.
    pub verify_queue_max: usize,
    /// The same, from one address.
    pub verify_per_address_max: usize,
    /// Password checks under way at once; as many as there are workers.
    pub verify_at_once: usize,
    /// Length of one journal segment.
    pub segment_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            strangers_max: 4_096,
            connect_ms_max: 10_000,
            packet_ms_max: 30_000,
            login_bytes_max: 196_620,
            packet_bytes_max: 1 << 20,
            http_head_bytes_max: 8 << 10,
            ws_frame_bytes_max: 16 << 20,
            idle_ms_max: 10_000,
            keepalive_s_max: 3_600,
            read_bytes_turn: 64 << 10,
            packets_turn: 512,
            write_bytes_turn: 64 << 10,
            accepts_turn: 64,
            outbox_bytes_max: 8 << 20,
            outbox_len_max: 10_000,
            inflight_max: 1_000,
            replies_max: 4_096,
            stuck_ms_max: 30_000,
            sessions_max: 1_000_000,
            session_s_max: 7 * 86_400,
            subscriptions_max: 1_000,
            levels_max: 128,
            retained_max: 1_000_000,
            retained_inline_bytes: 256,
            queues_max: 10_000,
            queue_len_max: 100_000,
            queue_bytes_max: 8 << 20,
            fetch_bytes_max: 256 << 10,
            memory_bytes_max: 256 << 20,
            verify_queue_max: 256,
            verify_per_address_max: 128,
            verify_at_once: 1,
            segment_bytes: 16 << 20,
        }
    }
}
