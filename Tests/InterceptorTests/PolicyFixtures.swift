import Contract
import Testing

/// Tests that load a policy; it is one per process, so they run one after another.
@Suite(.serialized) enum PolicyTests {}

/// Owns what C would own: memory that outlives the calls of one test.
final class Arena {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { block.deallocate() } }

  func array<Element>(_ elements: [Element]) -> UnsafePointer<Element>? {
    guard !elements.isEmpty else { return nil }
    let start = UnsafeMutablePointer<Element>.allocate(capacity: elements.count)
    start.initialize(from: elements, count: elements.count)
    blocks.append(UnsafeMutableRawPointer(start))
    return UnsafePointer(start)
  }

  func text(_ bytes: [UInt8]?) -> WardenText {
    guard let bytes else { return WardenText(bytes: nil, length: 0) }
    return WardenText(bytes: array(bytes + [0]), length: Int64(bytes.count))
  }

  func text(_ string: String?) -> WardenText { text(string.map { Array($0.utf8) }) }

  func buffer(_ capacity: Int = 4096) -> WardenBuffer {
    let start = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, capacity))
    start.initialize(repeating: 0xEE, count: max(1, capacity))
    blocks.append(UnsafeMutableRawPointer(start))
    return WardenBuffer(bytes: start, capacity: Int64(capacity), length: 0)
  }
}

func string(_ text: WardenText) -> String? {
  guard let bytes = text.bytes else { return nil }
  return String(decoding: UnsafeBufferPointer(start: bytes, count: Int(text.length)), as: UTF8.self)
}

func string(_ buffer: WardenBuffer) -> String {
  String(decoding: UnsafeBufferPointer(start: buffer.bytes, count: Int(buffer.length)), as: UTF8.self)
}

/// A verdict that outlives its buffer.
struct Outcome: Equatable {
  var action: WardenAction
  var decision: WardenDecision
  var state: String
  var guardName: String?
  var message: String?
  var detail: String?
  var hint: String?
  var rowsLeft: Int64

  init(_ verdict: WardenVerdict) {
    action = verdict.action
    decision = verdict.decision
    let letters = withUnsafeBytes(of: verdict.sqlstate) { room in room.prefix { $0 != 0 }.map { $0 } }
    state = String(decoding: letters, as: UTF8.self)
    guardName = string(verdict.guard)
    message = string(verdict.message)
    detail = string(verdict.detail)
    hint = string(verdict.hint)
    rowsLeft = verdict.rows_left
  }
}

/// An object pattern, and what C found that it names.
struct Pattern: ExpressibleByStringLiteral, Sendable {
  var text: String
  var object: UInt32 = 0
  var schema: UInt32 = 0
  var column: Int16 = 0
  var columnName: String?
  var isBound = true

  init(stringLiteral text: String) { self.text = text }

  init(_ text: String, object: UInt32 = 0, schema: UInt32 = 0, column: Int16 = 0, columnName: String? = nil) {
    self.columnName = columnName
    self.text = text
    self.object = object
    self.schema = schema
    self.column = column
  }
}

/// A subject pattern, and the role C found that it names.
struct Subject: ExpressibleByStringLiteral, Sendable {
  var text: String
  var role: UInt32 = 0
  var parts: [Subject] = []

  init(stringLiteral text: String) { self.text = text }

  init(_ text: String, role: UInt32) {
    self.text = text
    self.role = role
  }

  /// Who is all of them, as C reads `a & b`.
  init(all parts: [Subject]) {
    text = parts.map { $0.text }.joined(separator: " & ")
    self.parts = parts
  }
}

struct TestGuard: Sendable {
  var name: String? = "g"
  var action: String? = "block"
  var statements: [String] = ["all"]
  var objects: [Pattern] = ["*"]
  var subjects: [Subject] = ["*"]
  var environments: [String] = ["*"]
  var message: String?
  var priority: Int32 = 0
  var networks: [WardenNetwork]?
  var hours: String?
  var hoursZone: Int32 = 0
  var maxRows: Int64 = -1
  var reviewers: [Subject]?
  var approvals: Int32 = 1

  func row(_ arena: Arena) -> WardenGuard {
    WardenGuard(
      name: arena.text(name), action: arena.text(action),
      statements: arena.array(statements.map { arena.text($0) }), statement_count: Int64(statements.count),
      objects: patterns(objects, arena), object_count: Int64(objects.count),
      subjects: rows(subjects, arena), subject_count: Int64(subjects.count),
      environments: arena.array(environments.map { arena.text($0) }), environment_count: Int64(environments.count),
      message: arena.text(message), priority: priority,
      networks: networks.flatMap { arena.array($0) ?? arena.array([WardenNetwork()]) },
      network_count: Int64(networks?.count ?? 0),
      hours: arena.text(hours), hours_zone: hoursZone, max_rows: maxRows,
      reviewers: reviewers.flatMap { rows($0, arena) ?? arena.array([WardenSubjectPattern()]) },
      reviewer_count: Int64(reviewers?.count ?? 0), approvals: approvals)
  }

  /// As SQL's warden.guard checks it; nil where it is valid.
  func check() -> Outcome? {
    let arena = Arena()
    var row = row(arena)
    var texts = arena.buffer()
    var verdict = WardenVerdict()
    return warden_guard_check(&row, &texts, &verdict) ? nil : Outcome(verdict)
  }
}

extension TestGuard {
  /// What SQL's warden.guard warns of where it is valid.
  func warning() -> String? {
    let arena = Arena()
    var row = row(arena)
    var texts = arena.buffer()
    var verdict = WardenVerdict()
    return warden_guard_check(&row, &texts, &verdict) ? Outcome(verdict).message : nil
  }
}

struct TestExemption: Sendable {
  var subjects: [Subject] = ["*"]
  var targets: [Pattern] = ["*"]
  var until: Int64 = .max

  func row(_ arena: Arena) -> WardenExemption {
    WardenExemption(
      id: 1, subjects: rows(subjects, arena), subject_count: Int64(subjects.count),
      targets: patterns(targets, arena), target_count: Int64(targets.count), until: until)
  }

  func check() -> Outcome? {
    let arena = Arena()
    var row = row(arena)
    var texts = arena.buffer()
    var verdict = WardenVerdict()
    return warden_exemption_check(&row, &texts, &verdict) ? nil : Outcome(verdict)
  }
}

private func patterns(_ patterns: [Pattern], _ arena: Arena) -> UnsafePointer<WardenObjectPattern>? {
  arena.array(
    patterns.map {
      WardenObjectPattern(
        text: arena.text($0.text), object: $0.object, schema: $0.schema, column: $0.column,
        column_name: arena.text($0.columnName), bound: $0.isBound)
    })
}

private func rows(_ subjects: [Subject], _ arena: Arena) -> UnsafePointer<WardenSubjectPattern>? {
  arena.array(
    subjects.map {
      WardenSubjectPattern(
        text: arena.text($0.text), role: $0.role, parts: rows($0.parts, arena), part_count: Int64($0.parts.count))
    })
}

/// Puts the rows in force; false where one was refused.
@discardableResult
func load(_ guards: [TestGuard] = [], _ exemptions: [TestExemption] = [], labels: [String] = []) -> Bool {
  let arena = Arena()
  var texts = arena.buffer()
  var verdict = WardenVerdict()
  var isValid = true
  warden_policy_begin()
  for entry in guards {
    var row = entry.row(arena)
    isValid = warden_policy_add_guard(&row, &texts, &verdict) && isValid
  }
  for entry in exemptions {
    var row = entry.row(arena)
    isValid = warden_policy_add_exemption(&row, &texts, &verdict) && isValid
  }
  for (number, label) in labels.enumerated() {
    isValid = warden_policy_add_label(arena.text(label)) == Int32(number) && isValid
  }
  warden_policy_commit()
  return isValid
}

struct TestObject: Sendable {
  var catalog: UInt32 = 1259
  var oid: UInt32 = 100
  var schema: UInt32 = 10
  var flags: WardenObjectFlags = 0
  var kind = "table"
  var name = "shop.orders"
  var ancestors: [UInt32] = []
  var columns = ["id", "email", "note"]
  /// Those of columns, each with its number in the policy.
  var labels: [TestLabel] = []

  /// `isKept`: as C keeps them of relations, with what the policy in force is worked out to be about.
  func row(_ arena: Arena, isKept: Bool = false) -> WardenObject {
    var object = WardenObject(
      catalog: catalog, oid: oid, schema: schema, flags: flags, kind: arena.text(kind), name: arena.text(name),
      ancestors: arena.array(ancestors), ancestor_count: Int64(ancestors.count),
      columns: arena.array(columns.map { arena.text($0) }), column_count: Int64(columns.count),
      encoded: WardenText(bytes: nil, length: 0),
      labels: arena.array(
        labels.map { WardenColumnLabel(number: $0.number, column: $0.column, label: arena.text($0.label)) }),
      label_count: Int64(labels.count), name_hash: 0, schema_hash: 0, unconcerned: 0)
    if isKept {
      warden_object_hashes(&object)
      object.unconcerned = warden_policy_unconcerned(&object)
    }
    return object
  }
}

struct TestLabel: Sendable {
  var number: Int32
  var column: Int16
  var label = ""
}

struct TestAccess: Sendable {
  var object = TestObject()
  var classes: WardenClasses = 0
  var read: [Int16] = []
  var written: [Int16] = []
  var masked: [Int16] = []
  var isHidden = false
  var root: String?
  var chain: String?
  var inserted: [Int16] = []
  var updated: [Int16] = []
  var after: TestObject?

  func row(_ arena: Arena, isKept: Bool = false) -> WardenAccess {
    WardenAccess(
      object: arena.array([object.row(arena, isKept: isKept)])!, classes: classes,
      read_columns: arena.array(read), read_count: Int64(read.count),
      written_columns: arena.array(written), written_count: Int64(written.count),
      masked_columns: arena.array(masked), masked_count: Int64(masked.count),
      via: WardenText(bytes: nil, length: 0), hidden: isHidden, root: arena.text(root),
      chain: arena.text(chain), chain_hidden: false,
      inserted_columns: arena.array(inserted), inserted_count: Int64(inserted.count),
      updated_columns: arena.array(updated), updated_count: Int64(updated.count),
      after: after.flatMap { arena.array([$0.row(arena)]) })
  }
}

struct TestSession: Sendable {
  var isSuperuser = false
  var isBreakingGlass = false
  var mode = WARDEN_MODE_ENFORCE
  var roles: [UInt32] = [500]
  var userRoles: [UInt32] = [500]
  var database = "shopdb"
  var identity: String?
  var application = "psql"
  var environment = "production"
  var client: WardenNetwork = WardenNetwork(high: 0, low: 0, prefix: -1)
  /// The time of day in each zone, in minutes.
  var minutes: [Int16] = []

  func row(_ arena: Arena) -> WardenSession {
    var session = WardenSession()
    session.superuser = isSuperuser
    session.break_glass = isBreakingGlass
    session.mode = mode
    session.role_memberships = arena.array(roles)
    session.role_membership_count = Int64(roles.count)
    session.user_memberships = arena.array(userRoles)
    session.user_membership_count = Int64(userRoles.count)
    session.database = arena.text(database)
    session.identity = arena.text(identity)
    session.application = arena.text(application)
    session.environment = arena.text(environment)
    session.client_network = client
    session.minutes = arena.array(minutes)
    session.minute_count = Int64(minutes.count)
    return session
  }
}

/// Rows counted so far.
struct TestRows: Sendable {
  var returned: Int64 = 0
  var changed: Int64 = 0
  var changedItself: Int64 = 0
  var tallies: [WardenTally] = []

  func row(_ arena: Arena) -> WardenRows {
    WardenRows(
      returned: returned, changed: changed, changed_itself: changedItself, tallies: arena.array(tallies),
      tally_count: Int64(tallies.count))
  }
}

struct TestStatement: Sendable {
  var command = "SELECT"
  /// Besides those of the accesses.
  var classes: WardenClasses = 0
  var accesses: [TestAccess] = []
  var dropsExtension = false
  /// nil: it has not begun.
  var rows: TestRows?

  func row(_ arena: Arena, isKept: Bool = false) -> WardenStatement {
    WardenStatement(
      classes: accesses.reduce(classes) { $0 | $1.classes }, command: arena.text(command),
      accesses: arena.array(accesses.map { $0.row(arena, isKept: isKept) }), access_count: Int64(accesses.count),
      drops_extension: dropsExtension, rows: rows.flatMap { arena.array([$0.row(arena)]) })
  }

  /// Decides by the policy in force, whether C keeps the objects or not.
  func decide(_ session: TestSession = TestSession(), room: Int = 4096) -> Outcome {
    let outcome = decide(session, room: room, isKept: false)
    #expect(decide(session, room: room, isKept: true) == outcome)
    return outcome
  }

  private func decide(_ session: TestSession, room: Int, isKept: Bool) -> Outcome {
    let arena = Arena()
    var who = session.row(arena)
    var what = row(arena, isKept: isKept)
    var texts = arena.buffer(room)
    var verdict = WardenVerdict()
    warden_decide(&who, &what, &texts, &verdict)
    return Outcome(verdict)
  }
}
