import Contract

// Facts and policies as no server would bring them. Fields that are not set here are 0: a contract that grows needs no change.

extension Choices {
  mutating func guardRow() -> WardenGuard {
    var row = WardenGuard()
    row.name = text()
    row.action = text()
    let (statements, statementCount) = list(upTo: 4) { $0.text() }
    (row.statements, row.statement_count) = (UnsafePointer(statements), statementCount)
    let (objects, objectCount) = list(upTo: 4) { $0.objectPattern() }
    (row.objects, row.object_count) = (UnsafePointer(objects), objectCount)
    let (subjects, subjectCount) = list(upTo: 3) { $0.subjectPattern() }
    (row.subjects, row.subject_count) = (UnsafePointer(subjects), subjectCount)
    let (environments, environmentCount) = list(upTo: 2) { $0.text() }
    (row.environments, row.environment_count) = (UnsafePointer(environments), environmentCount)
    row.message = text()
    row.priority = int32()
    limits(&row)
    return row
  }

  private mutating func limits(_ row: inout WardenGuard) {
    row.max_rows = -1
    row.approvals = 1
    guard bool() else { return }
    let (networks, networkCount) = list(upTo: 3) { $0.network() }
    (row.networks, row.network_count) = (UnsafePointer(networks), networkCount)
    row.hours = text()
    row.hours_zone = int32()
    row.max_rows = number()
    let (reviewers, reviewerCount) = list(upTo: 3) { $0.subjectPattern() }
    (row.reviewers, row.reviewer_count) = (UnsafePointer(reviewers), reviewerCount)
    row.approvals = int32()
  }

  private mutating func network() -> WardenNetwork {
    WardenNetwork(high: unsigned(), low: unsigned(), prefix: bool() ? Int32(below(130)) - 1 : int32())
  }

  private mutating func objectPattern() -> WardenObjectPattern {
    WardenObjectPattern(
      text: text(), object: oid(), schema: oid(), column: column(), column_name: text(), bound: bool())
  }

  private mutating func subjectPattern() -> WardenSubjectPattern {
    WardenSubjectPattern(text: text(), role: oid(), parts: nil, part_count: 0)
  }

  mutating func exemption() -> WardenExemption {
    var row = WardenExemption()
    row.id = number()
    let (subjects, subjectCount) = list(upTo: 3) { $0.subjectPattern() }
    (row.subjects, row.subject_count) = (UnsafePointer(subjects), subjectCount)
    let (targets, targetCount) = list(upTo: 3) { $0.objectPattern() }
    (row.targets, row.target_count) = (UnsafePointer(targets), targetCount)
    row.until = number()
    return row
  }

  mutating func session() -> WardenSession {
    var session = WardenSession()
    session.superuser = bool()
    session.break_glass = bool()
    session.mode = WardenMode(rawValue: UInt32(below(5)))
    let (roles, roleCount) = list(upTo: 4) { $0.oid() }
    (session.role_memberships, session.role_membership_count) = (UnsafePointer(roles), roleCount)
    let (userRoles, userRoleCount) = list(upTo: 4) { $0.oid() }
    (session.user_memberships, session.user_membership_count) = (UnsafePointer(userRoles), userRoleCount)
    for field in sessionTexts { session[keyPath: field] = text() }
    session.client_network = network()
    let (minutes, minuteCount) = list(upTo: 3) { $0.column() }
    (session.minutes, session.minute_count) = (UnsafePointer(minutes), minuteCount)
    return session
  }

  private var sessionTexts: [WritableKeyPath<WardenSession, WardenText>] {
    [
      \.database, \.session_user, \.role, \.identity, \.agent, \.application, \.client_address, \.environment, \.intent,
      \.ticket, \.run,
    ]
  }
}

// MARK: - Statements

extension Choices {
  mutating func object() -> WardenObject {
    var object = WardenObject()
    object.catalog = bool() ? 1259 : oid()
    object.oid = oid()
    object.schema = oid()
    object.flags = UInt32(below(64))
    object.kind = text()
    object.name = text()
    let (ancestors, ancestorCount) = list(upTo: 4) { $0.oid() }
    (object.ancestors, object.ancestor_count) = (UnsafePointer(ancestors), ancestorCount)
    let (columns, columnCount) = list(upTo: 6) { $0.text() }
    (object.columns, object.column_count) = (UnsafePointer(columns), columnCount)
    let (labels, labelCount) = list(upTo: 5) {
      WardenColumnLabel(number: Int32($0.below(4)) - 1, column: $0.column(), label: $0.text())
    }
    (object.labels, object.label_count) = (UnsafePointer(labels), labelCount)
    if bool() { object.encoded = encoded(object) }
    if bool() { warden_object_hashes(&object) }
    if bool() { object.unconcerned = warden_policy_unconcerned(&object) }
    return object
  }

  private mutating func encoded(_ object: WardenObject) -> WardenText {
    guard bool() else { return text() }
    var out = memory.buffer(below(256) << below(5))
    withUnsafePointer(to: object) { warden_object_encode($0, &out) }
    return WardenText(bytes: out.bytes, length: out.length)
  }

  private mutating func access() -> WardenAccess {
    let (read, readCount) = list(upTo: 6) { $0.column() }
    let (written, writtenCount) = list(upTo: 6) { $0.column() }
    let (masked, maskedCount) = list(upTo: 6) { $0.column() }
    // There is no empty one: its object is not to be NULL.
    var access = memory.zeroed(WardenAccess.self).pointee
    access.object = UnsafePointer(memory.list([object()]))
    access.classes = classes()
    (access.read_columns, access.read_count) = (UnsafePointer(read), readCount)
    (access.written_columns, access.written_count) = (UnsafePointer(written), writtenCount)
    (access.masked_columns, access.masked_count) = (UnsafePointer(masked), maskedCount)
    access.via = text()
    access.hidden = bool()
    access.root = text()
    access.chain = text()
    access.chain_hidden = bool()
    let (inserted, insertedCount) = list(upTo: 4) { $0.column() }
    (access.inserted_columns, access.inserted_count) = (UnsafePointer(inserted), insertedCount)
    let (updated, updatedCount) = list(upTo: 4) { $0.column() }
    (access.updated_columns, access.updated_count) = (UnsafePointer(updated), updatedCount)
    if bool() { access.after = UnsafePointer(memory.list([object()])) }
    return access
  }

  private mutating func rows() -> UnsafePointer<WardenRows>? {
    let (rows, count) = list(upTo: 1) { choices in
      let (tallies, count) = choices.list(upTo: 3) {
        WardenTally(
          catalog: $0.below(2) == 0 ? 0 : 1259, oid: UInt32($0.below(3)), classes: $0.classes(), rows: $0.number())
      }
      return WardenRows(
        returned: choices.number(), changed: choices.number(), changed_itself: choices.number(),
        tallies: UnsafePointer(tallies), tally_count: count)
    }
    return count > 0 ? UnsafePointer(rows) : nil
  }

  mutating func statement() -> WardenStatement {
    var statement = WardenStatement()
    statement.classes = classes()
    statement.command = text()
    let (accesses, accessCount) = list(upTo: 5) { $0.access() }
    (statement.accesses, statement.access_count) = (UnsafePointer(accesses), accessCount)
    // C says so: together with those of every access. Sometimes it does not.
    if !bool() {
      for index in 0..<Int(accessCount) { statement.classes |= accesses?[index].classes ?? 0 }
    }
    statement.drops_extension = below(16) == 0
    statement.rows = rows()
    return statement
  }

  mutating func mask() -> WardenMaskDefinition {
    var mask = WardenMaskDefinition()
    mask.target = text()
    mask.method = text()
    let count = below(4)
    mask.keys = UnsafePointer(memory.list((0..<count).map { _ in text() }))
    mask.values = UnsafePointer(memory.list((0..<count).map { _ in text() }))
    mask.option_count = Int64(count)
    mask.column = text()
    mask.type_name = text()
    mask.base_name = text()
    mask.type = WardenTypeKind(rawValue: UInt32(below(24)))
    mask.element = WardenTypeKind(rawValue: UInt32(below(24)))
    mask.max_characters = int32()
    mask.precision = int32()
    mask.scale = int32()
    mask.width = int32()
    mask.folds_case = bool()
    mask.domain_not_null = bool()
    mask.not_null = bool()
    mask.unique = bool()
    mask.is_domain = bool()
    return mask
  }

  mutating func completion() -> WardenCompletion {
    var completion = WardenCompletion()
    completion.rows = number()
    completion.bytes = number()
    completion.duration = number()
    let state = (0..<8).map { _ in bool() ? byte() : 0 }
    withUnsafeMutableBytes(of: &completion.sqlstate) { $0.copyBytes(from: state) }
    completion.error = text()
    completion.masked_read = bool()
    return completion
  }

  mutating func record() -> WardenRecord {
    var record = WardenRecord()
    record.event = WardenEvent(rawValue: UInt32(bool() ? 0 : below(16)))
    record.decision = WardenDecision(rawValue: UInt32(below(10)))
    record.outcome = WardenOutcome(rawValue: UInt32(bool() ? 0 : below(9)))
    record.at = number()
    record.session = unsigned()
    record.statement_no = UInt64(byte())
    record.last_statement_no = bool() ? 0 : unsigned()
    record.parent_no = unsigned()
    record.transaction = unsigned()
    record.statement_hash = unsigned()
    record.request_id = number()
    record.subtransaction = oid()
    record.context = context()
    record.guard = text()
    record.text = text()
    record.text_limit = bool() ? 16384 : number()
    record.has_secret = bool()
    record.text_digest = text()
    recordLists(&record)
    record.completion = completion()
    record.withheld = unsigned()
    return record
  }

  private mutating func recordLists(_ record: inout WardenRecord) {
    let (redacted, redactedCount) = list(upTo: 4) { $0.int32() }
    (record.redacted, record.redacted_count) = (UnsafePointer(redacted), redactedCount)
    let (parameters, parameterCount) = list(upTo: 4) {
      WardenParameter(value: $0.text(), full_length: $0.number(), sensitive: $0.bool())
    }
    (record.parameters, record.parameter_count) = (UnsafePointer(parameters), parameterCount)
    record.parameter_mode = WardenParameterMode(rawValue: UInt32(below(4)))
    if bool() { record.statement = UnsafePointer(memory.list([statement()])) }
  }

  private mutating func context() -> WardenText {
    guard bool() else { return text() }
    let session = session()
    var out = memory.buffer(below(256) << below(6))
    withUnsafePointer(to: session) { warden_context_encode($0, &out) }
    return WardenText(bytes: out.bytes, length: out.length)
  }
}
