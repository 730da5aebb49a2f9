/// Where things are in a record of the ring. Numbers are in the machine's own order of bytes: a spool never leaves
/// its machine.
///
/// ```
/// 0    length         u32  all of it, trailer included; a multiple of 8
/// 4    kind           u32  record or pad; a pad has nothing else
/// 8    position       u64  bytes ever written to the ring before it: bytes of an earlier lap do not pass for it
/// 16   seq            u64
/// 24   state          u32  RecordState; changed by compare-and-swap only
/// 28   subtransaction u32
/// 32   at             i64
/// 40   session · 48 statement_no · 56 last_statement_no · 64 parent_no · 72 transaction · 80 statement_hash   u64
/// 88   request_id     i64
/// 96   classes        u64
/// 104  event u8 · 105 decision u8 · 106 flags u16
/// 108  context u16 · 110 guard u16 · 112 command u16 · 114 access u16 · 116 text u32: lengths, all ones = NULL
/// 120  rows · 128 bytes · 136 duration   i64     the completion: nothing of it means anything
/// 144  sqlstate       8 bytes                    until the state says COMPLETED
/// 152  error          u32  length, all ones = NULL
/// 156  error text     148 bytes
/// 304  context, guard, command, access list, text, one after the other; where the flags say so, the length of the
///      parameters as u32, and the parameters; then up to 7 bytes of nothing
/// end  trailer        u64  seq again
/// ```
enum RecordLayout {
  static let length = 0
  static let kind = 4
  static let position = 8
  static let seq = 16
  static let state = 24
  static let subtransaction = 28
  static let at = 32
  static let session = 40
  static let statementNo = 48
  static let lastStatementNo = 56
  static let parentNo = 64
  static let transaction = 72
  static let statementHash = 80
  static let requestID = 88
  static let classes = 96
  static let event = 104
  static let decision = 105
  static let flags = 106
  static let contextLength = 108
  static let guardLength = 110
  static let commandLength = 112
  static let accessLength = 114
  static let textLength = 116
  static let rows = 120
  static let bytes = 128
  static let duration = 136
  static let sqlstate = 144
  static let errorLength = 152
  static let error = 156
  static let variable = 304

  static let trailerSize = 8
  static let smallest = variable + trailerSize
  static let errorCapacity = variable - error

  /// "WRD1", "WRDP": a spool of another version is not read as one of this.
  static let recordKind: UInt32 = 0x3144_5257
  static let padKind: UInt32 = 0x5044_5257

  /// A length that stands for NULL.
  static let null16 = UInt16.max
  static let null32 = UInt32.max

  /// The record's text had a secret in it, so its error message may have one too.
  static let secretFlag: UInt16 = 1
  /// Literals or parameters were left out, so its error message must not repeat them.
  static let withheldFlag: UInt16 = 2
  /// What an error message must not repeat.
  /// The text names a secret.
  static let namedFlag: UInt16 = 8
  static let leavesOut = secretFlag | withheldFlag | namedFlag
  /// Parameters follow the text.
  static let parametersFlag: UInt16 = 4

  static let longestContext = 4096
  static let longestGuard = 255
  static let longestCommand = 64
}

/// The state word of a record. OPEN is 0, COMPLETE is `completed`, FINAL is `final` with or without `completed`.
enum RecordState {
  /// rows, bytes, duration, sqlstate and error are there.
  static let completed: UInt32 = 1
  /// The outcome, in bits 8 ... 15, will not change any more.
  static let final: UInt32 = 2
  /// The consumer has read it in the state it was in; it is not changed any more but for `amended`.
  static let taken: UInt32 = 4
  /// Taken, and its outcome reported by a record of its own.
  static let amended: UInt32 = 8

  private static let outcomeShift: UInt32 = 8

  static func final(_ outcome: UInt32, _ other: UInt32 = 0) -> UInt32 {
    final | other | ((outcome & 0xFF) << outcomeShift)
  }

  static func outcome(of state: UInt32) -> UInt32 { (state >> outcomeShift) & 0xFF }
}
