import Contract

/// What pg_warden holds for itself in every mode: its objects change by its functions only, its audit data not at all.
enum SelfProtection {
  static let name: StaticString = "self-protection"

  /// What neither changes an object nor takes it away. MISC among them: pg_dump locks every table it reads.
  private static let harmless: WardenClasses =
    WARDEN_CLASS_READ | WARDEN_CLASS_COPY_OUT | WARDEN_CLASS_COPY_PROGRAM | WARDEN_CLASS_SERVER_FILE
    | WARDEN_CLASS_FUNCTION | WARDEN_CLASS_MISC | WARDEN_CLASS_SET | WARDEN_CLASS_CONNECT
    | WARDEN_CLASS_TRANSACTION

  /// The secret of keyed masks is not read either, in whatever form.
  private static let harmlessToSecret: WardenClasses =
    harmless & ~(WARDEN_CLASS_READ | WARDEN_CLASS_COPY_OUT | WARDEN_CLASS_COPY_PROGRAM | WARDEN_CLASS_SERVER_FILE)

  /// What of an access is refused; 0 where nothing is.
  @inline(__always)
  static func refused(_ access: AccessFacts, of statement: StatementFacts, in session: SessionFacts) -> WardenClasses {
    let flags = access.object.flags
    guard flags & (WARDEN_OBJECT_OWN | WARDEN_OBJECT_AUDIT | WARDEN_OBJECT_CATALOG) != 0 else { return 0 }
    if flags & (WARDEN_OBJECT_OWN | WARDEN_OBJECT_AUDIT) == 0 { return refusedOnCatalog(access) }
    if flags & WARDEN_OBJECT_SECRET != 0 {
      return session.isBreakingGlass && statement.dropsExtension ? 0 : access.classes & ~harmlessToSecret
    }
    let isAudit = flags & WARDEN_OBJECT_AUDIT != 0
    if session.isBreakingGlass && (!isAudit || statement.dropsExtension) { return 0 }
    let classes = access.classes & ~harmless
    if isAudit { return classes }
    // Membership in pg_warden's roles is granted like any other; the roles themselves do not change.
    let isGrant = access.object.kind.equals("role") && access.classes & WARDEN_CLASS_GRANT != 0
    return isGrant || isGrantOfRole(statement.command) ? classes & ~(WARDEN_CLASS_GRANT | WARDEN_CLASS_ROLE) : classes
  }

  /// Who may write rows of the catalogs by hand, superusers alone, could write the audit's protection out of the database: so
  /// that is closed under break-glass too. So is pg_catalog itself: what is made there comes before everything else in
  /// every search path, the audit writer's own included. Views of the catalogs (UPDATE pg_settings) do what the server
  /// makes of them.
  private static func refusedOnCatalog(_ access: AccessFacts) -> WardenClasses {
    if access.object.kind.equals("schema") { return access.classes & (WARDEN_CLASS_CREATE | WARDEN_CLASS_ALTER) }
    guard access.object.kind.equals("table") else { return 0 }
    return access.classes & rowChanges
  }

  private static let rowChanges: WardenClasses =
    WARDEN_CLASS_INSERT | WARDEN_CLASS_UPDATE | WARDEN_CLASS_DELETE | WARDEN_CLASS_MERGE | WARDEN_CLASS_UPDATE_ALL
    | WARDEN_CLASS_DELETE_ALL | WARDEN_CLASS_TRUNCATE | WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN
    | WARDEN_CLASS_DROP

  /// nil: the extension itself is to be dropped.
  static func detail(_ object: ObjectFacts?) -> Message {
    if object?.isAny(of: WARDEN_OBJECT_AUDIT) == true {
      return Message("Guard \"self-protection\": audit data is written by pg_warden alone.")
    }
    if object?.isAny(of: WARDEN_OBJECT_SECRET) == true {
      return Message("Guard \"self-protection\": the secret of keyed masks is shown to nobody.")
    }
    if object?.isAny(of: WARDEN_OBJECT_CATALOG) == true {
      return Message("Guard \"self-protection\": system catalogs change by the server's own DDL alone.")
    }
    return Message("Guard \"self-protection\": pg_warden protects its own objects.")
  }

  static func wayForward(_ object: ObjectFacts?) -> Message {
    guard let object else {
      return Message("Call warden.break_glass(reason), then DROP EXTENSION in the same session.")
    }
    if object.isAny(of: WARDEN_OBJECT_AUDIT) {
      return Message("Audit data can be read through warden.audit_log, and changed by nobody.")
    }
    if object.isAny(of: WARDEN_OBJECT_SECRET) {
      return Message("It is replaced by warden.rotate_secret(), and used by masks alone.")
    }
    if object.isAny(of: WARDEN_OBJECT_CATALOG) {
      return Message(
        "Use the DDL command for it. Only a server that runs without pg_warden leaves catalogs open.")
    }
    return Message(
      """
      Use the functions of schema warden (warden.guard, warden.unguard, warden.mask ...), \
      or warden.break_glass(reason).
      """)
  }

  private static func isGrantOfRole(_ command: TextView) -> Bool {
    command.equals("GRANT ROLE") || command.equals("REVOKE ROLE")
  }
}
