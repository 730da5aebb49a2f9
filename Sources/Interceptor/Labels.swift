import Contract

/// The words that the audit uses for what is a number in the ring.
enum Labels {
  static func event(_ event: UInt32) -> StaticString {
    switch event {
    case WARDEN_EVENT_STATEMENT.rawValue: "statement"
    case WARDEN_EVENT_CONNECT.rawValue: "connect"
    case WARDEN_EVENT_DISCONNECT.rawValue: "disconnect"
    case WARDEN_EVENT_AUTH_FAILED.rawValue: "auth_failed"
    case WARDEN_EVENT_TRANSACTION.rawValue: "transaction"
    case WARDEN_EVENT_POLICY.rawValue: "policy"
    case WARDEN_EVENT_REQUEST.rawValue: "request"
    case WARDEN_EVENT_DECISION.rawValue: "decision"
    case WARDEN_EVENT_ALERT.rawValue: "alert"
    case WARDEN_EVENT_BREAK_GLASS.rawValue: "break_glass"
    case WARDEN_EVENT_GAP.rawValue: "gap"
    default: "unknown"
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

  static func outcome(_ outcome: UInt32) -> StaticString {
    switch outcome {
    case WARDEN_OUTCOME_OPEN.rawValue: "open"
    case WARDEN_OUTCOME_COMMITTED.rawValue: "committed"
    case WARDEN_OUTCOME_ROLLED_BACK.rawValue: "rolled_back"
    case WARDEN_OUTCOME_FAILED.rawValue: "failed"
    case WARDEN_OUTCOME_BLOCKED.rawValue: "blocked"
    case WARDEN_OUTCOME_INTERRUPTED.rawValue: "interrupted"
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
