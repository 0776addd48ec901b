//! Floor 1. What a peer can break below its protocol, and what the layer it broke says about it.
//!
//! One name per rule; who is to blame, and the words for the log, belong to the table of faults
//! two floors up. Here are only the codes that travel: an HTTP status before the upgrade, a close
//! code after it. Absent on purpose: alerts of TLS, which the TLS machine queues by itself.

/// A broken rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flaw {
    /// The first bytes belong to no protocol that is spoken here.
    FirstBytes,
    /// The first bytes are those of TLS, and this listener takes none.
    TlsHere,
    /// A trusted proxy did not say for whom it speaks.
    ProxyMissing,
    /// A PROXY header that is none.
    ProxyMalformed,
    /// Not an HTTP request.
    HttpMalformed,
    /// A request head longer than this broker takes.
    HttpTooLong,
    /// Another method than GET.
    HttpMethod,
    /// Another version than 1.1.
    HttpVersion,
    /// Nothing is at this path.
    HttpPath,
    /// The request asks for no WebSocket.
    WsUpgrade,
    /// Another version of WebSocket than 13.
    WsVersion,
    /// The key is not 16 bytes in base64, or not there, or there twice.
    WsKey,
    /// No subprotocol that is spoken here was offered.
    WsProtocol,
    /// A page of an origin that may not come in here.
    WsOrigin,
    /// A frame without a mask.
    WsUnmasked,
    /// A reserved bit is set.
    WsReserved,
    /// A reserved opcode.
    WsOpcode,
    /// A control frame that is fragmented or longer than 125 bytes.
    WsControl,
    /// A continuation of nothing, or a new message inside another.
    WsFragment,
    /// A length in more bytes than it needs, or over 63 bits.
    WsLength,
    /// A frame longer than this broker takes, or a message where that counts.
    WsTooLong,
    /// A text frame where bytes are spoken.
    WsText,
    /// A binary frame where text is spoken.
    WsBinary,
    /// Text that is no UTF-8.
    WsUtf8,
    /// A Close with a code nobody may send, or half a code.
    WsClose,
    /// A reason for a Close that is no UTF-8.
    WsReason,
    /// What came is not TLS.
    TlsPlain,
    /// Neither TLS 1.2 nor TLS 1.3 was offered.
    TlsVersion,
    /// Nothing that both sides can do: cipher suites, groups, signatures.
    TlsCommon,
    /// No client certificate, though one is required.
    TlsNoCertificate,
    /// A client certificate of an issuer we do not trust.
    TlsUntrusted,
    /// A client certificate before or after its time.
    TlsExpired,
    /// A client certificate that was revoked.
    TlsRevoked,
    /// The revocation list says nothing about the issuer of a client certificate.
    TlsNoCrl,
    /// A client certificate that cannot be read, or is not for clients.
    TlsCertificate,
    /// A client certificate without a name that can be a user's.
    TlsName,
    /// The client does not accept our certificate.
    TlsDistrusted,
    /// The client gave up, for another reason.
    TlsAlert,
    /// Anything else that TLS forbids.
    TlsBroken,
    /// A server's certificate of an issuer we do not trust.
    TlsServerUntrusted,
    /// A server's certificate for another name than the one it was called by.
    TlsServerName,
    /// A server's certificate before or after its time, or that cannot be read.
    TlsServerCertificate,
    /// The server gave up, as when it does not accept our certificate.
    TlsServerAlert,
    /// What a server says is no TLS, or nothing that both sides can do.
    TlsServerBroken,
}

impl Flaw {
    /// The status line of an HTTP answer, and one sentence a person can act on.
    #[must_use]
    pub const fn http(self) -> (&'static str, &'static str) {
        match self {
            Self::HttpTooLong => {
                ("431 Request Header Fields Too Large", "the request head is too long")
            }
            Self::HttpMethod => ("405 Method Not Allowed", "only GET is taken here"),
            Self::HttpVersion => ("505 HTTP Version Not Supported", "HTTP/1.1 is spoken here"),
            Self::HttpPath => ("404 Not Found", "nothing is here; try / or /mqtt"),
            Self::WsUpgrade => ("426 Upgrade Required", "this is a WebSocket: upgrade to it"),
            Self::WsVersion => ("426 Upgrade Required", "WebSocket version 13 is spoken here"),
            Self::WsKey => ("400 Bad Request", "Sec-WebSocket-Key must be 16 bytes in base64"),
            Self::WsProtocol => {
                ("400 Bad Request", "offer a subprotocol, as in Sec-WebSocket-Protocol: mqtt")
            }
            Self::WsOrigin => (
                "403 Forbidden",
                "pages of this origin may not come in: listener.origins has those",
            ),
            _ => ("400 Bad Request", "this is no HTTP request"),
        }
    }

    /// The code of a Close frame.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::WsText | Self::WsBinary => 1003,
            Self::WsUtf8 | Self::WsReason => 1007,
            Self::WsTooLong => 1009,
            _ => 1002,
        }
    }
}
