import Contract

/// A guard as far as it can be judged without looking at the rest of it.
struct Rule {
  /// Of the guard: see Guard.rank.
  let rank: Int64
  /// Number of the guard in the policy.
  let number: Int
  /// Number of the entry of its objects that is about a column; -1 where the rule is about the whole object.
  let column: Int
  let classes: WardenClasses
  let action: WardenAction
  let hasTags: Bool
  /// The rule matches from the row after so many on; below 0: whatever the number of rows.
  let maxRows: Int64
  /// It is for an object by its OID, whatever that is called; false: for what has the name when the policy is loaded.
  let isBound: Bool
}

/// Rules for one object, or for any, the highest rank first.
final class RuleTable {
  let classes: WardenClasses
  let hasTags: Bool
  let general: [Rule]
  /// Rules for members of a role alone, so that guards for a thousand roles cost what those of one role cost.
  let byRole: SortedTable<[Rule]>

  init(_ rules: CollectedRules) {
    classes = rules.classes
    hasTags = rules.hasTags
    general = RuleTable.sorted(rules.general)
    byRole = SortedTable(rules.byRole.mapValues { RuleTable.sorted($0) })
  }

  private static func sorted(_ rules: [Rule]) -> [Rule] {
    rules.sorted { one, other in one.rank > other.rank || (one.rank == other.rank && one.number < other.number) }
  }
}

/// What becomes a RuleTable when every rule is there.
struct CollectedRules {
  private(set) var classes: WardenClasses = 0
  private(set) var hasTags = false
  private(set) var general: [Rule] = []
  private(set) var byRole: [UInt64: [Rule]] = [:]

  mutating func add(_ rule: Rule, roles: [UInt32]?) {
    note(rule)
    guard let roles else {
      general.append(rule)
      return
    }
    for role in roles { byRole[UInt64(role), default: []].append(rule) }
  }

  /// What the rule asks for counts, and the rule is not kept here.
  mutating func note(_ rule: Rule) {
    classes |= rule.classes
    hasTags = hasTags || rule.hasTags
  }
}

/// Rules by the names of objects.
struct NameTable {
  /// By the hash of the name.
  private let buckets: SortedTable<[Entry]>

  private struct Entry {
    let name: [UInt8]
    let table: RuleTable
  }

  init(_ rules: [[UInt8]: CollectedRules]) {
    var buckets: [UInt64: [Entry]] = [:]
    for (name, collected) in rules {
      buckets[NameTable.hash(name), default: []].append(Entry(name: name, table: RuleTable(collected)))
    }
    self.buckets = SortedTable(buckets)
  }

  var isEmpty: Bool { buckets.isEmpty }

  /// The rules for the name `bytes` spell.
  /// `hash`: of that name, where it is known; else 0.
  func table(for bytes: some Sequence<UInt8>, hash: UInt64 = 0) -> RuleTable? {
    guard let bucket = buckets.value(for: hash != 0 ? hash : NameTable.hash(bytes)) else { return nil }
    for entry in bucket where bytes.elementsEqual(entry.name) { return entry.table }
    return nil
  }

  /// FNV-1a: names are looked up from C's bytes without a copy of them as a key.
  static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hash
  }
}

/// The policy in force, compiled so that a decision costs the same for ten guards and for ten thousand.
final class PolicyIndex {
  let guards: [Guard]
  let exemptions: [Exemption]
  /// Those that columns carry, by number.
  let labels: [[UInt8]]
  /// Classes that some guard asks for.
  let asked: WardenClasses
  /// Classes for which some guard has a limit of rows.
  let limited: WardenClasses
  /// Command tags that some guard asks for.
  private let tags: [[UInt8]]
  let anyObject: RuleTable
  private let byObject: SortedTable<RuleTable>
  let relationNames: NameTable
  let functionNames: NameTable
  let schemaNames: NameTable
  let databaseNames: NameTable
  /// Of all rules for labels: what they ask for.
  let labelled: RuleTable
  /// For each label, by its number: the rules whose pattern selects it.
  private let byLabel: [[RuleTable]]

  init(guards: [Guard], exemptions: [Exemption], labels: [[UInt8]]) {
    var builder = PolicyIndexBuilder()
    for (number, entry) in guards.enumerated() { builder.add(entry, number: number) }
    self.guards = guards
    self.exemptions = exemptions
    self.labels = labels
    asked = builder.asked
    limited = builder.limited
    tags = builder.tags
    anyObject = RuleTable(builder.anyObject)
    byObject = SortedTable(builder.byObject.mapValues { RuleTable($0) })
    relationNames = NameTable(builder.relationNames)
    functionNames = NameTable(builder.functionNames)
    schemaNames = NameTable(builder.schemaNames)
    databaseNames = NameTable(builder.databaseNames)
    labelled = RuleTable(builder.labelled)
    byLabel = builder.byLabel(labels)
  }

  func entry(_ number: Int) -> Guard? {
    guards.indices.contains(number) ? guards[number] : nil
  }

  /// The rules for an object of this catalog; of a schema: for everything in it.
  func table(catalog: UInt32, oid: UInt32) -> RuleTable? {
    byObject.value(for: PolicyIndex.key(catalog: catalog, oid: oid))
  }

  /// The rules for columns that carry the label of this number.
  func tables(label number: Int32) -> [RuleTable] {
    let index = Int(number)
    return byLabel.indices.contains(index) ? byLabel[index] : []
  }

  /// The command as a tag that some guard asks for.
  func tag(_ command: TextView) -> [UInt8]? {
    for tag in tags where command.equals(tag) { return tag }
    return nil
  }

  /// OIDs are unique within a catalog only.
  static func key(catalog: UInt32, oid: UInt32) -> UInt64 { UInt64(catalog) << 32 | UInt64(oid) }
}

private struct PolicyIndexBuilder {
  var asked: WardenClasses = 0
  var limited: WardenClasses = 0
  var tags: [[UInt8]] = []
  var anyObject = CollectedRules()
  var byObject: [UInt64: CollectedRules] = [:]
  var relationNames: [[UInt8]: CollectedRules] = [:]
  var functionNames: [[UInt8]: CollectedRules] = [:]
  var schemaNames: [[UInt8]: CollectedRules] = [:]
  var databaseNames: [[UInt8]: CollectedRules] = [:]
  var labelled = CollectedRules()
  private var labelPatterns: [[UInt8]: CollectedRules] = [:]

  mutating func add(_ entry: Guard, number: Int) {
    asked |= entry.statements.asked
    if entry.maxRows != nil { limited |= entry.statements.asked }
    for tag in entry.statements.tags where !tags.contains(tag) { tags.append(tag) }
    let roles = entry.roles
    for (index, object) in entry.objects.enumerated() {
      let rule = Rule(
        rank: entry.rank, number: number, column: object.kind == .column ? index : -1,
        classes: entry.statements.classes, action: entry.action, hasTags: !entry.statements.tags.isEmpty,
        maxRows: entry.maxRows ?? -1, isBound: object.isBound)
      add(rule, for: object, roles: roles)
    }
  }

  func byLabel(_ labels: [[UInt8]]) -> [[RuleTable]] {
    guard !labelPatterns.isEmpty else { return [] }
    let tables = NameTable(labelPatterns)
    return labels.map { label in
      ColumnLabel.patterns(selecting: label).compactMap { tables.table(for: $0) }
    }
  }

  private mutating func add(_ rule: Rule, for object: ObjectPattern, roles: [UInt32]?) {
    if object.kind == .everything { return anyObject.add(rule, roles: roles) }
    if object.oid != 0 { add(rule, object.catalog, object.oid, roles) }
    // A name that anybody can give to a table of their own restricts, and permits nothing.
    guard object.oid == 0 || rule.action != WARDEN_ACTION_ALLOW else { return }
    switch object.kind {
    case .everything: break
    case .database: databaseNames[object.name, default: CollectedRules()].add(rule, roles: roles)
    case .schema: schemaNames[object.name, default: CollectedRules()].add(rule, roles: roles)
    case .function: functionNames[object.name, default: CollectedRules()].add(rule, roles: roles)
    case .relation, .column: relationNames[object.name, default: CollectedRules()].add(rule, roles: roles)
    case .label:
      labelPatterns[object.name, default: CollectedRules()].add(rule, roles: roles)
      labelled.note(rule)
    }
  }

  private mutating func add(_ rule: Rule, _ catalog: UInt32, _ oid: UInt32, _ roles: [UInt32]?) {
    byObject[PolicyIndex.key(catalog: catalog, oid: oid), default: CollectedRules()].add(rule, roles: roles)
  }
}
