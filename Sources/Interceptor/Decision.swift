import Contract

/// What is decided of a statement, before words are found for it.
enum Judgement {
  /// `rowsLeft` as in WardenVerdict.rows_left.
  case allowed(isMasked: Bool, rowsLeft: Int64)
  /// A guard decides, by this action.
  case guarded(Finding, isMasked: Bool, rowsLeft: Int64)
  /// pg_warden's own object, and what of the access is refused; nil where the extension itself is to be dropped.
  case selfProtected(AccessFacts?, WardenClasses)
  case noPolicy
  /// What C says of the statement cannot be.
  case contradiction
}

/// The guard that decides about an act on an object.
struct Finding {
  let rule: Rule
  /// The classes that matched; 0 where the command tag did.
  let classes: WardenClasses
  /// nil where the statement touches no object that counts.
  let access: AccessFacts?
  /// The attribute number in its object of the column that the rule is about; 0 where it is about the whole object.
  let column: Int16
  /// The statement does nothing that the guard is about, but the guard would not hold for the object after it.
  var isLoss = false

  var object: ObjectFacts? { access?.object }

  /// The one with the more severe action; of two alike the one of higher priority, or the earlier.
  static func moreSevere(_ one: Finding?, _ other: Finding?) -> Finding? {
    guard let one else { return other }
    guard let other else { return one }
    if other.rule.action == one.rule.action { return other.rule.rank > one.rule.rank ? other : one }
    return other.rule.action.rawValue > one.rule.action.rawValue ? other : one
  }
}

/// What one look at every access tells.
private struct Survey {
  /// Classes that some access has.
  var attributed: WardenClasses = 0
  var isMasked = false
  /// Some object would be found under another name, schema or parent.
  var moves = false
  var refused: (access: AccessFacts, classes: WardenClasses)?

  init(_ statement: StatementFacts, _ session: SessionFacts) {
    for access in statement.accesses {
      attributed |= access.classes
      isMasked = isMasked || access.isMasked
      moves = moves || access.after != nil
      guard refused == nil else { continue }
      let classes = SelfProtection.refused(access, of: statement, in: session)
      if classes != 0 { refused = (access, classes) }
    }
  }
}

/// Decides. Guards are weighed for each act on each object on its own: among those that match it the highest rank
/// decides. The most severe of these decisions is the statement's, so that leave for one object, or one act, is none
/// for the others in the same statement.
func judge(_ statement: StatementFacts, in session: SessionFacts, by policy: PolicyIndex?) -> Judgement {
  let survey = Survey(statement, session)
  guard !statement.lacksAccesses, survey.attributed & ~statement.classes == 0 else { return .contradiction }
  if let refused = survey.refused { return .selfProtected(refused.access, refused.classes) }
  if statement.dropsExtension && !session.isBreakingGlass { return .selfProtected(nil, 0) }
  if session.isBreakingGlass || session.mode == WARDEN_MODE_OFF {
    return .allowed(isMasked: survey.isMasked, rowsLeft: 0)
  }
  guard let policy else { return .noPolicy }

  let tag = policy.tag(statement.command)
  guard policy.asked & statement.classes != 0 || tag != nil || survey.moves else {
    return .allowed(isMasked: survey.isMasked, rowsLeft: 0)
  }
  var search = Search(session: session, policy: policy, tag: tag, rows: statement.rows)
  var decisive: Finding?
  for access in statement.accesses {
    if tag != nil || access.classes & ~access.object.unconcerned != 0 {
      decisive = Finding.moreSevere(decisive, search.finding(on: access))
    }
    if let after = access.after { decisive = Finding.moreSevere(decisive, search.loss(of: access, after)) }
  }
  // Classes that no object is named for; a statement of no class at all can still be meant by its tag.
  let unattributed = statement.classes & ~survey.attributed
  if unattributed != 0 || statement.accesses.isEmpty {
    decisive = Finding.moreSevere(decisive, search.finding(unattributed))
  }
  guard let decisive else { return .allowed(isMasked: survey.isMasked, rowsLeft: search.rowsLeft) }
  return .guarded(decisive, isMasked: survey.isMasked, rowsLeft: search.rowsLeft)
}

/// Looks for the guards that decide about the acts of one statement.
struct Search {
  let session: SessionFacts
  let policy: PolicyIndex
  /// The statement's command, where some guard asks for it.
  let tag: [UInt8]?
  /// nil: the statement has not begun.
  let rows: RowFacts?
  /// The least number of rows after which a guard matches that does not yet; 0: there is none.
  private(set) var rowsLeft: Int64 = 0

  init(session: SessionFacts, policy: PolicyIndex, tag: [UInt8]?, rows: RowFacts?) {
    self.session = session
    self.policy = policy
    self.tag = tag
    self.rows = rows
  }

  /// About what the statement does to the object; `wanted` leaves classes out.
  mutating func finding(on access: AccessFacts, within wanted: WardenClasses = .max) -> Finding? {
    let object = access.object
    let isTemporary = object.isAny(of: WARDEN_OBJECT_TEMPORARY)
    let specific = access.classes & wanted & (isTemporary ? Search.beyondTables : .max)
    let general = specific & ~Search.universal(object)
    var decisive: Finding?
    var rest = tag == nil ? specific & policy.asked : specific
    while rest != 0 {
      let family = StatementClass.family(in: rest)
      rest &= ~family
      var act = Act(access: access, classes: specific & family)
      considerObject(&act)
      if general & family != 0 { considerGeneral(&act) }
      decisive = Finding.moreSevere(decisive, act.finding)
    }
    return decisive
  }

  /// About classes of the statement that no object is named for.
  mutating func finding(_ classes: WardenClasses) -> Finding? {
    var decisive: Finding?
    var rest = classes
    repeat {
      let family = StatementClass.family(in: rest)
      var act = Act(access: nil, classes: rest & family)
      rest &= ~family
      considerGeneral(&act)
      decisive = Finding.moreSevere(decisive, act.finding)
    } while rest != 0
    return decisive
  }

  /// The search of a statement that has not begun, in a policy that may be another.
  init(_ statement: StatementFacts, _ session: SessionFacts, _ policy: PolicyIndex) {
    self.init(session: session, policy: policy, tag: policy.tag(statement.command), rows: nil)
  }

  /// The guard that the object would no longer have after the statement, or that would no longer decide about it. It
  /// decides about the change, as if what it guards against were done.
  mutating func loss(of access: AccessFacts, _ after: ObjectFacts) -> Finding? {
    guard !access.object.isAny(of: WARDEN_OBJECT_TEMPORARY) else { return nil }
    let held = holding(access.object)
    let kept = holding(after)
    var lost: Finding?
    for finding in held where finding.rule.action != WARDEN_ACTION_ALLOW {
      let isThere = kept.contains { $0.rule.number == finding.rule.number && $0.column == finding.column }
      let lostClasses = Search.effective(finding, among: held) & ~Search.effective(finding, among: kept)
      guard !isThere || lostClasses != 0 else { continue }
      // What no class is effective for now is outranked: nothing is lost with it.
      guard finding.rule.hasTags || Search.effective(finding, among: held) != 0 else { continue }
      var loss = Finding(rule: finding.rule, classes: 0, access: access, column: finding.column)
      loss.isLoss = true
      lost = Finding.moreSevere(lost, loss)
    }
    return lost
  }

  /// Every guard that holds for the object, whatever is done to it.
  private mutating func holding(_ object: ObjectFacts) -> [Finding] {
    var act = Act(holdingFor: object)
    considerObject(&act)
    considerGeneral(&act)
    return act.held
  }

  /// The classes of the guard that none of these which is less severe outranks.
  private static func effective(_ finding: Finding, among others: [Finding]) -> WardenClasses {
    var outranked: WardenClasses = 0
    for other in others where other.rule.rank > finding.rule.rank {
      guard other.rule.action.rawValue < finding.rule.action.rawValue,
        other.column == 0 || other.column == finding.column
      else { continue }
      outranked |= StatementClass.families(of: other.rule.classes)
    }
    return finding.rule.classes & ~outranked
  }

  /// What everybody may do to the object unless a guard names it. psql and every driver read the catalogs; pg_warden's
  /// functions are called by masking views, and check their callers themselves.
  private static func universal(_ object: ObjectFacts) -> WardenClasses {
    if object.isAny(of: WARDEN_OBJECT_OWN) { return WARDEN_CLASS_READ | WARDEN_CLASS_FUNCTION }
    return object.isAny(of: WARDEN_OBJECT_CATALOG) ? WARDEN_CLASS_READ : 0
  }

  /// What can be done to a temporary table that reaches further than the table.
  private static let beyondTables: WardenClasses =
    WARDEN_CLASS_COPY_PROGRAM | WARDEN_CLASS_SERVER_FILE | WARDEN_CLASS_SYSTEM | WARDEN_CLASS_ROLE
    | WARDEN_CLASS_FUNCTION | WARDEN_CLASS_SET | WARDEN_CLASS_CONNECT

  /// Rules for every object, and for every object of the session's database.
  private mutating func considerGeneral(_ act: inout Act) {
    act.place = .everywhere
    consider(policy.anyObject, &act)
    if !policy.databaseNames.isEmpty, let table = policy.databaseNames.table(for: session.database.bytes) {
      consider(table, &act)
    }
  }

  /// Rules for the object, those it inherits from, and its schema.
  private mutating func considerObject(_ act: inout Act) {
    guard let object = act.object else { return }
    act.match = .itself
    act.place = Place(catalog: object.catalog, oid: object.oid)
    if let table = policy.table(catalog: object.catalog, oid: object.oid) { consider(table, &act) }
    act.match = .descendant
    for ancestor in object.ancestors {
      guard let table = policy.table(catalog: Catalog.relation, oid: ancestor) else { continue }
      act.place = Place(catalog: Catalog.relation, oid: ancestor)
      consider(table, &act)
    }
    act.match = .member
    if object.schema != 0, object.catalog != Catalog.schema,
      let table = policy.table(catalog: Catalog.schema, oid: object.schema)
    {
      act.place = Place(catalog: Catalog.schema, oid: object.schema)
      consider(table, &act)
    }
    act.match = .name
    considerNames(object, &act)
    if isAsked(policy.labelled, act) { considerLabels(object, &act) }
  }

  /// Rules for the labels that columns of the object carry.
  private mutating func considerLabels(_ object: ObjectFacts, _ act: inout Act) {
    guard let access = act.access else { return }
    act.place = Place(catalog: object.catalog, oid: object.oid)
    let labels = object.labels
    var index = 0
    while let group = labels.group(from: &index) {
      for table in policy.tables(label: group.number) where isAsked(table, act) {
        act.touch = act.touch ?? ColumnTouch(group, access)
        consider(table, &act)
      }
      act.touch = nil
    }
  }

  private func isAsked(_ table: RuleTable, _ act: Act) -> Bool {
    table.classes & act.classes != 0 || (table.hasTags && (tag != nil || act.isHolding))
  }

  /// Rules for what is called so now, whatever was when the rule was made.
  private mutating func considerNames(_ object: ObjectFacts, _ act: inout Act) {
    act.place = Place(catalog: object.catalog, oid: object.oid)
    let name = object.name
    let isFunction = object.catalog == Catalog.function
    let names = isFunction ? policy.functionNames : policy.relationNames
    if !names.isEmpty, let table = names.table(for: name, hash: object.nameHash) { consider(table, &act) }
    if !policy.schemaNames.isEmpty, let schema = name.schema(isItself: object.catalog == Catalog.schema),
      let table = policy.schemaNames.table(for: schema, hash: object.schemaHash)
    {
      act.place = Place(catalog: Catalog.schema, oid: object.schema)
      consider(table, &act)
    }
    if object.catalog == Catalog.database, let table = policy.databaseNames.table(for: name) { consider(table, &act) }
  }

  private mutating func consider(_ table: RuleTable, _ act: inout Act) {
    guard isAsked(table, act) else { return }
    consider(table.general, &act, isForSubject: false, asUser: true)
    guard !table.byRole.isEmpty else { return }
    for role in session.roleMemberships {
      if let rules = table.byRole.value(for: UInt64(role)) { consider(rules, &act, isForSubject: true, asUser: false) }
    }
    for role in session.userMemberships {
      if let rules = table.byRole.value(for: UInt64(role)) { consider(rules, &act, isForSubject: true, asUser: true) }
    }
  }

  /// `rules` are in order of rank: the first that matches is theirs. `isForSubject`: they are for a role that the
  /// session has; `asUser`: as its user only, which is enough for what restricts.
  private mutating func consider(_ rules: [Rule], _ act: inout Act, isForSubject: Bool, asUser: Bool) {
    for rule in rules {
      if let best = act.finding, best.rule.rank >= rule.rank { return }
      guard rule.classes & act.classes != 0 || (rule.hasTags && (tag != nil || act.isHolding)) else { continue }
      guard let entry = policy.entry(rule.number), entry.isInForce(session) else { continue }
      if isForSubject {
        if asUser && rule.action == WARDEN_ACTION_ALLOW { continue }
      } else if !entry.isFor(session) {
        continue
      }
      if act.isHolding {
        if let finding = holding(rule, entry, act) { act.held.append(finding) }
        continue
      }
      guard let finding = finding(rule, entry, act) else { continue }
      if rule.maxRows < 0 || isPassed(rule, act, finding.classes) { act.finding = finding }
    }
  }

  private func holding(_ rule: Rule, _ entry: Guard, _ act: Act) -> Finding? {
    // What is known by its name alone is another thing under another name.
    guard act.match != .itself || rule.isBound else { return nil }
    var column: Int16 = 0
    if rule.column >= 0, entry.objects.indices.contains(rule.column), let object = act.object {
      column = entry.objects[rule.column].column(of: object, act.match)
      guard column != 0 else { return nil }
    }
    return Finding(rule: rule, classes: rule.classes, access: act.access, column: column)
  }

  private func finding(_ rule: Rule, _ entry: Guard, _ act: Act) -> Finding? {
    var classes = rule.classes & act.classes
    let isMeantByTag = rule.hasTags && isMeantByTag(entry, act)
    var column: Int16 = 0
    if act.touch != nil || rule.column >= 0 {
      guard let touch = act.touch ?? touch(rule, entry, act) else { return nil }
      classes &= touch.classes
      column = touch.column(by: classes)
      guard classes != 0 || (isMeantByTag && touch.isTouched) else { return nil }
    }
    guard classes != 0 || isMeantByTag else { return nil }
    return Finding(rule: rule, classes: classes, access: act.access, column: column)
  }

  /// Whether the rows counted so far are more than the rule's. Where they are not, it is known when they will be.
  private mutating func isPassed(_ rule: Rule, _ act: Act, _ classes: WardenClasses) -> Bool {
    let counted = act.rows(rows, for: rule.classes, by: classes)
    guard counted <= rule.maxRows else { return true }
    let left = rule.maxRows &- max(counted, 0)
    let next = left == .max ? left : left &+ 1
    rowsLeft = rowsLeft == 0 ? next : min(rowsLeft, next)
    return false
  }

  /// How the act touches the column that the rule names.
  private func touch(_ rule: Rule, _ entry: Guard, _ act: Act) -> ColumnTouch? {
    guard let access = act.access, entry.objects.indices.contains(rule.column) else { return nil }
    let number = entry.objects[rule.column].column(of: access.object, act.match)
    return number == 0 ? nil : ColumnTouch(CollectionOfOne(number), access)
  }

  private func isMeantByTag(_ entry: Guard, _ act: Act) -> Bool {
    guard let tag, entry.statements.tags.contains(tag) else { return false }
    // A SELECT can hold a DELETE; leave for SELECT is leave to read.
    guard entry.action == WARDEN_ACTION_ALLOW, CommandTag.isPlanned(tag) else { return true }
    return act.classes & (StatementClass.onRows & ~WARDEN_CLASS_READ) == 0
  }
}

/// What the rules at hand are for: an object, a schema, everything.
private struct Place {
  let catalog: UInt32
  let oid: UInt32

  static let everywhere = Place(catalog: 0, oid: 0)
}

/// One act of a statement on one object, and the guard found for it so far.
private struct Act {
  let object: ObjectFacts?
  let access: AccessFacts?
  let classes: WardenClasses
  /// What the rules at hand have to do with the object.
  var match = ObjectMatch.name
  var place = Place.everywhere
  /// The rules at hand are for columns of a label: how the access touches those.
  var touch: ColumnTouch?
  var finding: Finding?
  /// Nothing is done: every rule that holds for the object is asked for, and found in `held`.
  let isHolding: Bool
  var held: [Finding] = []

  init(access: AccessFacts?, classes: WardenClasses) {
    object = access?.object
    self.access = access
    self.classes = classes
    isHolding = false
  }

  init(holdingFor object: ObjectFacts) {
    self.object = object
    access = nil
    classes = StatementClass.all
    isHolding = true
  }

  private static let changes: WardenClasses =
    WARDEN_CLASS_INSERT | WARDEN_CLASS_UPDATE | WARDEN_CLASS_DELETE | WARDEN_CLASS_MERGE | WARDEN_CLASS_UPDATE_ALL
    | WARDEN_CLASS_DELETE_ALL | WARDEN_CLASS_COPY_IN

  /// The rows that count for a rule which is for the classes `wanted` and matches this act by `matched`.
  /// Changes count with all that runs below them. Of what is read, the rows that are handed out count, or that
  /// are stored elsewhere. Rows that TRUNCATE takes are not counted, and more than any number.
  func rows(_ rows: RowFacts?, for wanted: WardenClasses, by matched: WardenClasses) -> Int64 {
    if matched & WARDEN_CLASS_TRUNCATE != 0 { return .max }
    guard let rows else { return 0 }
    guard let access else { return max(rows.returned, rows.changed) }
    if matched & Act.changes != 0 { return rows.changed(catalog: place.catalog, oid: place.oid, by: wanted) }
    return access.classes & Act.changes != 0 ? rows.returned : max(rows.returned, rows.changedItself)
  }
}

/// Whether, and by which classes, an access touches the columns that a rule is about.
///
/// Reads (read, copy_out) touch the columns they read. Writes (insert, update, merge, copy_in), changes of the
/// definition (alter, drop_column, create, ddl) and grants touch the columns written; where none are listed, all.
/// Everything else (delete, truncate, drop …) is done to every column.
private struct ColumnTouch {
  private(set) var classes: WardenClasses
  let isTouched: Bool
  private let first: Int16
  private let read: Int16
  private let inserted: Int16
  private let updated: Int16

  /// - Parameter columns: attribute numbers, ascending.
  init(_ columns: some Sequence<Int16>, _ access: AccessFacts) {
    first = columns.first { _ in true } ?? 0
    read = access.readColumns.first(of: columns)
    let written = access.writtenColumns
    if access.insertedColumns.count > 0 || access.updatedColumns.count > 0 {
      inserted = access.insertedColumns.first(of: columns)
      updated = access.updatedColumns.first(of: columns)
    } else {
      inserted = written.count == 0 ? first : written.first(of: columns)
      updated = inserted
    }
    classes = ~(ColumnTouch.reading | ColumnTouch.writing)
    if read != 0 { classes |= ColumnTouch.reading }
    if access.readColumns.count == 0 { classes |= WARDEN_CLASS_COPY_OUT }
    if inserted != 0 { classes |= ColumnTouch.inserting }
    if updated != 0 { classes |= ColumnTouch.updating }
    if inserted != 0 || updated != 0 { classes |= ColumnTouch.changing }
    isTouched = access.classes & classes != 0
  }

  /// The column to name in what is told of these classes.
  func column(by classes: WardenClasses) -> Int16 {
    if classes & ColumnTouch.updating != 0 && updated != 0 { return updated }
    if classes & (ColumnTouch.inserting | ColumnTouch.changing) != 0 && inserted != 0 { return inserted }
    if classes & ColumnTouch.changing != 0 && updated != 0 { return updated }
    return classes & ColumnTouch.reading != 0 && read != 0 ? read : first
  }

  private static let reading: WardenClasses = WARDEN_CLASS_READ | WARDEN_CLASS_COPY_OUT
  private static let inserting: WardenClasses = WARDEN_CLASS_INSERT | WARDEN_CLASS_COPY_IN
  private static let updating: WardenClasses = WARDEN_CLASS_UPDATE | WARDEN_CLASS_UPDATE_ALL
  private static let changing: WardenClasses =
    WARDEN_CLASS_MERGE | WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN | WARDEN_CLASS_CREATE | WARDEN_CLASS_OTHER_DDL
    | WARDEN_CLASS_GRANT
  private static let writing: WardenClasses = inserting | updating | changing
}
