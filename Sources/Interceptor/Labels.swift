import Contract

/// The words that the audit uses for what is a number in the ring.
enum Labels {
  // Letters: columns of one byte, in which the views put the words.

  static func eventLetter(_ event: UInt32) -> UInt8 {
    switch event {
    case WARDEN_EVENT_STATEMENT.rawValue: 0x73  // s
    case WARDEN_EVENT_CONNECT.rawValue: 0x63  // c
    case WARDEN_EVENT_DISCONNECT.rawValue: 0x64  // d
    case WARDEN_EVENT_AUTH_FAILED.rawValue: 0x66  // f
    case WARDEN_EVENT_TRANSACTION.rawValue: 0x74  // t
    case WARDEN_EVENT_POLICY.rawValue: 0x70  // p
    case WARDEN_EVENT_REQUEST.rawValue: 0x72  // r
    case WARDEN_EVENT_DECISION.rawValue: 0x76  // v
    case WARDEN_EVENT_ALERT.rawValue: 0x61  // a
    case WARDEN_EVENT_BREAK_GLASS.rawValue: 0x62  // b
    case WARDEN_EVENT_GAP.rawValue: 0x67  // g
    default: 0x3F  // ?
    }
  }

  static func outcomeLetter(_ outcome: UInt32) -> UInt8 {
    switch outcome {
    case WARDEN_OUTCOME_OPEN.rawValue: 0x6F  // o
    case WARDEN_OUTCOME_COMMITTED.rawValue: 0x63  // c
    case WARDEN_OUTCOME_ROLLED_BACK.rawValue: 0x72  // r
    case WARDEN_OUTCOME_FAILED.rawValue: 0x66  // f
    case WARDEN_OUTCOME_BLOCKED.rawValue: 0x62  // b
    case WARDEN_OUTCOME_INTERRUPTED.rawValue: 0x69  // i
    default: 0x3F  // ?
    }
  }

  static func decision(_ decision: UInt32) -> StaticString {
    switch decision {
    case WARDEN_DECISION_ALLOWED.rawValue: "allowed"
    case WARDEN_DECISION_MASKED.rawValue: "masked"
    case WARDEN_DECISION_BLOCKED.rawValue: "blocked"
    case WARDEN_DECISION_APPROVAL_REQUIRED.rawValue: "approval_required"
    case WARDEN_DECISION_APPROVED.rawValue: "approved"
    case WARDEN_DECISION_WOULD_BLOCK.rawValue: "would_block"
    case WARDEN_DECISION_WOULD_REQUIRE_APPROVAL.rawValue: "would_require_approval"
    default: "unknown"
    }
  }

  /// The one class that tells most about a statement: the most dangerous one. nil where it has none.
  static func statementClass(_ classes: WardenClasses) -> StaticString? {
    if classes & schemaClasses != 0 { return schemaClass(classes) }
    if classes & WARDEN_CLASS_GRANT != 0 { return "grant" }
    if classes & WARDEN_CLASS_ROLE != 0 { return "role" }
    if classes & (WARDEN_CLASS_DELETE | WARDEN_CLASS_DELETE_ALL) != 0 { return "delete" }
    if classes & (WARDEN_CLASS_UPDATE | WARDEN_CLASS_UPDATE_ALL) != 0 { return "update" }
    if classes & WARDEN_CLASS_MERGE != 0 { return "merge" }
    if classes & WARDEN_CLASS_INSERT != 0 { return "insert" }
    if classes & WARDEN_CLASS_COPY_IN != 0 { return "copy_in" }
    if classes & WARDEN_CLASS_COPY_OUT != 0 { return "copy_out" }
    if classes & WARDEN_CLASS_SET != 0 { return "set" }
    if classes & WARDEN_CLASS_FUNCTION != 0 { return "function" }
    if classes & WARDEN_CLASS_TRANSACTION != 0 { return "transaction" }
    if classes & WARDEN_CLASS_READ != 0 { return "read" }
    if classes & WARDEN_CLASS_CONNECT != 0 { return "connect" }
    return classes == 0 ? nil : "misc"
  }

  private static let schemaClasses: WardenClasses =
    WARDEN_CLASS_SYSTEM | WARDEN_CLASS_COPY_PROGRAM | WARDEN_CLASS_SERVER_FILE | WARDEN_CLASS_DROP
    | WARDEN_CLASS_DROP_COLUMN | WARDEN_CLASS_TRUNCATE | WARDEN_CLASS_ALTER | WARDEN_CLASS_CREATE
    | WARDEN_CLASS_OTHER_DDL

  private static func schemaClass(_ classes: WardenClasses) -> StaticString {
    if classes & WARDEN_CLASS_SYSTEM != 0 { return "system" }
    if classes & WARDEN_CLASS_COPY_PROGRAM != 0 { return "copy_program" }
    if classes & WARDEN_CLASS_SERVER_FILE != 0 { return "server_file" }
    if classes & WARDEN_CLASS_DROP != 0 { return "drop" }
    if classes & WARDEN_CLASS_TRUNCATE != 0 { return "truncate" }
    if classes & (WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN) != 0 { return "alter" }
    if classes & WARDEN_CLASS_CREATE != 0 { return "create" }
    return "ddl"
  }
}
