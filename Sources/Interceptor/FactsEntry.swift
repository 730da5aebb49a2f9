import Contract

// The contract's structs as the decisions read them: every access checked, nothing copied, nothing kept. Together with
// the functions of PolicyEntry.swift and MaskEntry.swift this is where C's pointers end.

/// Who acts.
@safe struct SessionFacts {
  private let raw: UnsafePointer<WardenSession>

  init(_ raw: UnsafePointer<WardenSession>) { unsafe self.raw = unsafe raw }

  var isSuperuser: Bool { unsafe raw.pointee.superuser }
  var isBreakingGlass: Bool { unsafe raw.pointee.break_glass }
  var mode: WardenMode { unsafe raw.pointee.mode }
  var roleMemberships: Lent<UInt32> {
    unsafe Lent(raw.pointee.role_memberships, count: raw.pointee.role_membership_count)
  }
  var userMemberships: Lent<UInt32> {
    unsafe Lent(raw.pointee.user_memberships, count: raw.pointee.user_membership_count)
  }
  var database: TextView { unsafe TextView(raw.pointee.database) }
  var identity: TextView { unsafe TextView(raw.pointee.identity) }
  var application: TextView { unsafe TextView(raw.pointee.application) }
  var environment: TextView { unsafe TextView(raw.pointee.environment) }
  var clientNetwork: WardenNetwork { unsafe raw.pointee.client_network }
  var minutes: Lent<Int16> { unsafe Lent(raw.pointee.minutes, count: raw.pointee.minute_count) }
}

/// An object of the database.
@safe struct ObjectFacts {
  private let raw: UnsafePointer<WardenObject>

  init(_ raw: UnsafePointer<WardenObject>) { unsafe self.raw = unsafe raw }

  /// C's own pointer, to be handed back to it.
  @unsafe var address: UnsafePointer<WardenObject> { unsafe raw }

  var catalog: UInt32 { unsafe raw.pointee.catalog }
  var oid: UInt32 { unsafe raw.pointee.oid }
  var schema: UInt32 { unsafe raw.pointee.schema }
  var flags: WardenObjectFlags { unsafe raw.pointee.flags }
  var kind: TextView { unsafe TextView(raw.pointee.kind) }
  var name: ObjectName { unsafe ObjectName(TextView(raw.pointee.name)) }
  var ancestors: Lent<UInt32> { unsafe Lent(raw.pointee.ancestors, count: raw.pointee.ancestor_count) }

  /// Those of its columns, by number of the label and by column.
  var labels: ColumnLabels { unsafe ColumnLabels(Lent(raw.pointee.labels, count: raw.pointee.label_count)) }
  /// Of its name, and of its schema's; 0 where they were not worked out.
  var nameHash: UInt64 { unsafe raw.pointee.name_hash }
  var schemaHash: UInt64 { unsafe raw.pointee.schema_hash }
  /// Classes that no rule in force is about.
  var unconcerned: WardenClasses { unsafe raw.pointee.unconcerned }

  func isAny(of wanted: WardenObjectFlags) -> Bool { flags & wanted != 0 }

  /// The name of the column with this attribute number; nil for system columns and the whole row.
  func columnName(_ column: Int16) -> TextView? {
    let columns = unsafe Lent(raw.pointee.columns, count: raw.pointee.column_count)
    guard let text = unsafe columns.element(at: Int(column) &- 1) else { return nil }
    return unsafe TextView(text)
  }

  /// The attribute number of the column of this name.
  func column(named name: [UInt8]) -> Int16? {
    let columns = unsafe Lent(raw.pointee.columns, count: raw.pointee.column_count)
    for index in 0..<(unsafe columns.count) {
      guard let text = unsafe columns.element(at: index) else { return nil }
      if unsafe TextView(text).equals(name) { return Int16(truncatingIfNeeded: index &+ 1) }
    }
    return nil
  }
}

/// The labels of an object's columns.
@safe struct ColumnLabels: Sequence {
  private let lent: Lent<WardenColumnLabel>

  init(_ lent: Lent<WardenColumnLabel>) { unsafe self.lent = unsafe lent }

  var count: Int { unsafe lent.count }

  /// A label, and one of the columns that carry it.
  @safe struct Entry {
    let number: Int32
    let column: Int16
    private let text: WardenText

    fileprivate init(_ raw: WardenColumnLabel) {
      unsafe number = raw.number
      unsafe column = raw.column
      unsafe text = raw.label
    }

    var label: TextView { unsafe TextView(text) }
  }

  func makeIterator() -> Iterator { unsafe Iterator(lent: lent) }

  @safe struct Iterator: IteratorProtocol {
    private let lent: Lent<WardenColumnLabel>
    private var index = 0

    fileprivate init(lent: Lent<WardenColumnLabel>) { unsafe self.lent = unsafe lent }

    mutating func next() -> Entry? {
      guard let raw = unsafe lent.element(at: index) else { return nil }
      index &+= 1
      return unsafe Entry(raw)
    }
  }

  /// The label whose entries begin at `index`; moves `index` to the next one's. nil behind the last.
  func group(from index: inout Int) -> Group? {
    guard let first = unsafe lent.element(at: index) else { return nil }
    let start = index
    repeat { index &+= 1 } while unsafe lent.element(at: index)?.number == first.number
    return unsafe Group(first, lent: lent, start: start, end: index)
  }

  /// The columns that carry one label, ascending.
  @safe struct Group: Sequence {
    let number: Int32
    let label: ByteView
    private let lent: Lent<WardenColumnLabel>
    private let start: Int
    private let end: Int

    fileprivate init(_ first: WardenColumnLabel, lent: Lent<WardenColumnLabel>, start: Int, end: Int) {
      unsafe number = first.number
      unsafe label = ByteView(first.label)
      unsafe self.lent = unsafe lent
      self.start = start
      self.end = end
    }

    func makeIterator() -> Iterator { unsafe Iterator(lent: lent, index: start, end: end) }

    @safe struct Iterator: IteratorProtocol {
      private let lent: Lent<WardenColumnLabel>
      private var index: Int
      private let end: Int

      fileprivate init(lent: Lent<WardenColumnLabel>, index: Int, end: Int) {
        unsafe self.lent = unsafe lent
        self.index = index
        self.end = end
      }

      mutating func next() -> Int16? {
        guard index < end, let raw = unsafe lent.element(at: index) else { return nil }
        index &+= 1
        return unsafe raw.column
      }
    }
  }
}

/// An object, and what the statement does to it.
@safe struct AccessFacts {
  private let raw: UnsafePointer<WardenAccess>

  init(_ raw: UnsafePointer<WardenAccess>) { unsafe self.raw = unsafe raw }

  var object: ObjectFacts { unsafe ObjectFacts(raw.pointee.object) }
  var classes: WardenClasses { unsafe raw.pointee.classes }
  var readColumns: Lent<Int16> { unsafe Lent(raw.pointee.read_columns, count: raw.pointee.read_count) }
  var writtenColumns: Lent<Int16> { unsafe Lent(raw.pointee.written_columns, count: raw.pointee.written_count) }
  var insertedColumns: Lent<Int16> { unsafe Lent(raw.pointee.inserted_columns, count: raw.pointee.inserted_count) }
  var updatedColumns: Lent<Int16> { unsafe Lent(raw.pointee.updated_columns, count: raw.pointee.updated_count) }
  var isMasked: Bool { unsafe raw.pointee.masked_count > 0 }
  var isHidden: Bool { unsafe raw.pointee.hidden }
  /// What the statement names and takes this object along; a null text where the statement names the object.
  var root: TextView { unsafe TextView(raw.pointee.root) }
  var chain: TextView { unsafe TextView(raw.pointee.chain) }
  var isChainHidden: Bool { unsafe raw.pointee.chain_hidden }
  /// The object as the statement would make it; nil where it stays in its place.
  var after: ObjectFacts? {
    guard let after = unsafe raw.pointee.after else { return nil }
    return unsafe ObjectFacts(after)
  }
}

/// The accesses of a statement.
@safe struct StatementAccesses: Sequence {
  private let lent: Lent<WardenAccess>

  init(_ lent: Lent<WardenAccess>) { unsafe self.lent = unsafe lent }

  var isEmpty: Bool { unsafe lent.count == 0 }

  func makeIterator() -> Iterator { unsafe Iterator(lent: lent) }

  @safe struct Iterator: IteratorProtocol {
    private let lent: Lent<WardenAccess>
    private var index = 0

    fileprivate init(lent: Lent<WardenAccess>) { unsafe self.lent = unsafe lent }

    @inline(__always)
    mutating func next() -> AccessFacts? {
      guard let raw = unsafe lent.address(at: index) else { return nil }
      index &+= 1
      return unsafe AccessFacts(raw)
    }
  }
}

/// Rows counted so far, for guards with max_rows.
@safe struct RowFacts {
  private let raw: UnsafePointer<WardenRows>

  fileprivate init(_ raw: UnsafePointer<WardenRows>) { unsafe self.raw = unsafe raw }

  /// By the statement.
  var returned: Int64 { unsafe raw.pointee.returned }
  /// By the statement and all that ran below it.
  var changed: Int64 { unsafe raw.pointee.changed }
  /// By the statement alone, temporary tables included.
  var changedItself: Int64 { unsafe raw.pointee.changed_itself }

  /// Changed within the client's statement, on the object, by statements of any of these classes and below them.
  func changed(catalog: UInt32, oid: UInt32, by classes: WardenClasses) -> Int64 {
    var rows: Int64 = 0
    for tally in unsafe Lent(raw.pointee.tallies, count: raw.pointee.tally_count)
    where tally.oid == oid && tally.catalog == catalog && tally.classes & classes != 0 {
      let sum = rows.addingReportingOverflow(tally.rows)
      rows = sum.overflow ? .max : sum.partialValue
    }
    return rows
  }
}

/// A statement as facts.
@safe struct StatementFacts {
  private let raw: UnsafePointer<WardenStatement>

  init(_ raw: UnsafePointer<WardenStatement>) { unsafe self.raw = unsafe raw }

  var classes: WardenClasses { unsafe raw.pointee.classes }
  var command: TextView { unsafe TextView(raw.pointee.command) }
  var dropsExtension: Bool { unsafe raw.pointee.drops_extension }
  /// nil before it begins.
  var rows: RowFacts? {
    guard let rows = unsafe raw.pointee.rows else { return nil }
    return unsafe RowFacts(rows)
  }
  var accesses: StatementAccesses {
    unsafe StatementAccesses(Lent(raw.pointee.accesses, count: raw.pointee.access_count))
  }

  /// Accesses are announced, and are not there.
  var lacksAccesses: Bool {
    let isMissing = unsafe raw.pointee.accesses == nil
    return unsafe raw.pointee.access_count < 0 || (isMissing && raw.pointee.access_count > 0)
  }
}

/// An entry of `objects` or `targets`, and what it names now.
struct ObjectRow {
  let text: TextView
  let object: UInt32
  let schema: UInt32
  let column: Int16
  let columnName: TextView
  let isBound: Bool
}

/// An entry of `subjects`.
struct SubjectRow {
  let text: TextView
  let role: UInt32
  /// Of an entry that joins several; they have none.
  let parts: [SubjectRow]
}

/// A row of the table of guards.
struct GuardRow {
  let name: TextView
  let action: TextView
  let statements: [TextView]
  let objects: [ObjectRow]
  let subjects: [SubjectRow]
  let environments: [TextView]
  let message: TextView
  let priority: Int32
  /// nil: not given
  let networks: [WardenNetwork]?
  let hours: TextView
  let hoursZone: Int32
  let maxRows: Int64
  /// nil: not given
  let reviewers: [SubjectRow]?
  let approvals: Int32

  init(_ raw: UnsafePointer<WardenGuard>) {
    let row = unsafe raw.pointee
    unsafe name = TextView(row.name)
    unsafe action = TextView(row.action)
    unsafe statements = texts(row.statements, row.statement_count)
    unsafe objects = objectRows(row.objects, row.object_count)
    unsafe subjects = subjectRows(row.subjects, row.subject_count)
    unsafe environments = texts(row.environments, row.environment_count)
    unsafe message = TextView(row.message)
    unsafe priority = row.priority
    networks = unsafe row.networks.map { unsafe Array(Lent($0, count: row.network_count)) }
    unsafe hours = TextView(row.hours)
    unsafe hoursZone = row.hours_zone
    unsafe maxRows = row.max_rows
    reviewers = unsafe row.reviewers.map { unsafe subjectRows($0, row.reviewer_count) }
    unsafe approvals = row.approvals
  }
}

/// A row of the table of exemptions.
struct ExemptionRow {
  let id: Int64
  let subjects: [SubjectRow]
  let targets: [ObjectRow]
  let until: Int64

  init(_ raw: UnsafePointer<WardenExemption>) {
    let row = unsafe raw.pointee
    unsafe id = row.id
    unsafe subjects = subjectRows(row.subjects, row.subject_count)
    unsafe targets = objectRows(row.targets, row.target_count)
    unsafe until = row.until
  }
}

/// What a mask is to be made for.
struct MaskRow {
  let target: TextView
  let method: TextView
  let keys: [TextView]
  let values: [TextView]
  let column: TextView
  let typeName: TextView
  let type: WardenTypeKind
  /// Of the type that a domain is over; else of the column's own.
  let baseName: TextView
  /// What the elements of an array are; else `type`.
  let element: WardenTypeKind
  let maxCharacters: Int32
  /// Of numeric(p, s); nil where any number of digits fits.
  let precision: Int?
  let scale: Int
  /// In bits: of integers and floats.
  let width: Int
  let isDomain: Bool
  let domainIsNotNull: Bool
  /// Equal values can differ in case.
  let foldsCase: Bool
  let isNotNull: Bool
  /// Of a column that is unique on its own.
  let isUnique: Bool

  var isArray: Bool { type == WARDEN_TYPE_ARRAY }

  init(_ raw: UnsafePointer<WardenMaskDefinition>) {
    let row = unsafe raw.pointee
    unsafe target = TextView(row.target)
    unsafe method = TextView(row.method)
    unsafe keys = texts(row.keys, row.option_count)
    unsafe values = texts(row.values, row.option_count)
    unsafe column = TextView(row.column)
    unsafe typeName = TextView(row.type_name)
    unsafe type = row.type
    unsafe baseName = TextView(row.base_name)
    unsafe element = row.element
    unsafe maxCharacters = row.max_characters
    unsafe precision = row.precision > 0 ? Int(row.precision) : nil
    unsafe scale = Int(row.scale)
    unsafe width = Int(row.width)
    unsafe isDomain = row.is_domain
    unsafe domainIsNotNull = row.domain_not_null
    unsafe foldsCase = row.folds_case
    unsafe isNotNull = row.not_null
    unsafe isUnique = row.unique
  }
}

func texts(_ start: UnsafePointer<WardenText>?, _ count: Int64) -> [TextView] {
  unsafe Lent(start, count: count).map { unsafe TextView($0) }
}

private func objectRows(_ start: UnsafePointer<WardenObjectPattern>?, _ count: Int64) -> [ObjectRow] {
  unsafe Lent(start, count: count).map { row in
    unsafe ObjectRow(
      text: TextView(row.text), object: row.object, schema: row.schema, column: row.column,
      columnName: TextView(row.column_name), isBound: row.bound)
  }
}

private func subjectRows(_ start: UnsafePointer<WardenSubjectPattern>?, _ count: Int64) -> [SubjectRow] {
  unsafe Lent(start, count: count).map { row in
    let parts = unsafe Lent(row.parts, count: row.part_count).map { part in
      unsafe SubjectRow(text: TextView(part.text), role: part.role, parts: [])
    }
    return unsafe SubjectRow(text: TextView(row.text), role: row.role, parts: parts)
  }
}
