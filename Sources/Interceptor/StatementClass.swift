import Contract

/// The classes of statements: their names in policies, and which of them are one act.
enum StatementClass {
  /// Classes whose objects can be temporary tables, which no guard is for.
  static let onRows: WardenClasses =
    WARDEN_CLASS_READ | WARDEN_CLASS_INSERT | WARDEN_CLASS_UPDATE | WARDEN_CLASS_DELETE | WARDEN_CLASS_MERGE
    | WARDEN_CLASS_UPDATE_ALL | WARDEN_CLASS_DELETE_ALL

  static let write: WardenClasses =
    WARDEN_CLASS_INSERT | WARDEN_CLASS_UPDATE | WARDEN_CLASS_DELETE | WARDEN_CLASS_MERGE

  static let ddl: WardenClasses =
    WARDEN_CLASS_CREATE | WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP | WARDEN_CLASS_DROP_COLUMN
    | WARDEN_CLASS_TRUNCATE | WARDEN_CLASS_OTHER_DDL

  /// Bits 0 ... 24; a class that is added to the contract is to be added here.
  static let all: WardenClasses = (WARDEN_CLASS_MISC << 1) &- 1

  /// Every name that `statements` takes, the order being that of the documentation.
  static let names: [(name: StaticString, classes: WardenClasses)] = [
    ("read", WARDEN_CLASS_READ), ("insert", WARDEN_CLASS_INSERT), ("update", WARDEN_CLASS_UPDATE),
    ("delete", WARDEN_CLASS_DELETE), ("merge", WARDEN_CLASS_MERGE), ("write", write),
    ("update_all", WARDEN_CLASS_UPDATE_ALL), ("delete_all", WARDEN_CLASS_DELETE_ALL),
    ("truncate", WARDEN_CLASS_TRUNCATE), ("drop", WARDEN_CLASS_DROP), ("drop_column", WARDEN_CLASS_DROP_COLUMN),
    ("alter", WARDEN_CLASS_ALTER), ("create", WARDEN_CLASS_CREATE), ("ddl", ddl),
    ("grant", WARDEN_CLASS_GRANT), ("role", WARDEN_CLASS_ROLE),
    ("copy_in", WARDEN_CLASS_COPY_IN), ("copy_out", WARDEN_CLASS_COPY_OUT),
    ("copy_program", WARDEN_CLASS_COPY_PROGRAM), ("server_file", WARDEN_CLASS_SERVER_FILE),
    ("system", WARDEN_CLASS_SYSTEM), ("set", WARDEN_CLASS_SET), ("function", WARDEN_CLASS_FUNCTION),
    ("connect", WARDEN_CLASS_CONNECT), ("all", all),
  ]

  /// The classes a name stands for; nil where it is the name of none.
  static func named(_ text: TextView) -> WardenClasses? {
    for entry in names where text.equals(entry.name) { return entry.classes }
    return nil
  }

  /// The name of the most telling class in `classes`: delete_all rather than delete.
  static func name(of classes: WardenClasses) -> StaticString {
    if classes & WARDEN_CLASS_OTHER_DDL != 0 { return "ddl" }
    if classes & WARDEN_CLASS_MISC != 0 || classes & WARDEN_CLASS_TRANSACTION != 0 { return "all" }
    for entry in names.reversed() where entry.classes & (entry.classes &- 1) == 0 && classes & entry.classes != 0 {
      return entry.name
    }
    return "all"
  }

  /// The classes that come together with the lowest one in `classes` because they are the same act.
  /// Priorities are compared within a family only: leave to read a table is no leave to delete from it, though one
  /// statement does both.
  @inline(__always)
  static func family(in classes: WardenClasses) -> WardenClasses {
    let lowest = classes & (~classes &+ 1)
    if lowest & updates != 0 { return updates }
    if lowest & deletes != 0 { return deletes }
    if lowest & alters != 0 { return alters }
    return lowest
  }

  /// Every class that comes together with one of these.
  static func families(of classes: WardenClasses) -> WardenClasses {
    var families = classes
    var rest = classes
    while rest != 0 {
      let family = family(in: rest)
      families |= family
      rest &= ~family
    }
    return families
  }

  private static var updates: WardenClasses { WARDEN_CLASS_UPDATE | WARDEN_CLASS_UPDATE_ALL }
  private static var deletes: WardenClasses { WARDEN_CLASS_DELETE | WARDEN_CLASS_DELETE_ALL }
  private static var alters: WardenClasses { WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN }
}
