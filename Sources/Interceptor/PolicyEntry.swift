// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Contract

// The functions of warden_policy.h, which says what each does. Their names are C's.

/// The policies of this backend, a process with one thread: nothing else can be here, so that accesses need no check
/// of exclusivity, which every statement would pay for.
private struct Policies {
  var inForce: PolicyIndex?
  var guards: [Guard]
  var exemptions: [Exemption]
  /// Those that columns carry.
  var labels: [[UInt8]]
  /// Between begin and commit, with no row refused.
  var isLoading: Bool
}

@exclusivity(unchecked)
nonisolated(unsafe) private var policies = Policies(
  inForce: nil, guards: [], exemptions: [], labels: [], isLoading: false)

@c @implementation
public func warden_decide(
  _ session: UnsafePointer<WardenSession>, _ statement: UnsafePointer<WardenStatement>,
  _ texts: UnsafeMutablePointer<WardenBuffer>, _ verdict: UnsafeMutablePointer<WardenVerdict>
) {
  let policy = unsafe policies.inForce
  let subject = unsafe SessionFacts(session)
  let facts = unsafe StatementFacts(statement)
  let judgement = judge(facts, in: subject, by: policy)
  if case .allowed(let isMasked, let rowsLeft) = judgement {
    return unsafe allow(isMasked: isMasked, rowsLeft: rowsLeft, texts, verdict)
  }
  unsafe deliver(Refusal.verdict(on: facts, judgement, mode: subject.mode, policy: policy), texts, verdict)
}

@c @implementation
public func warden_explain(
  _ session: UnsafePointer<WardenSession>, _ statement: UnsafePointer<WardenStatement>,
  _ rows: UnsafeMutablePointer<WardenBuffer>
) -> Bool {
  let explanation = unsafe Explanation(StatementFacts(statement), in: SessionFacts(session), by: policies.inForce)
  var writer = unsafe TextWriter(rows)
  for row in explanation.rows {
    for field in [row.guardName, row.action, row.object, row.reason] {
      writer.append(field == nil ? 0 : 1)
      if let field { writer.append(field + [0]) }
    }
  }
  unsafe writer.finish(rows)
  return !writer.isCut
}

@c @implementation
public func warden_policy_classes() -> WardenClasses {
  unsafe policies.inForce?.asked ?? 0
}

@c @implementation
public func warden_policy_limited() -> WardenClasses {
  unsafe policies.inForce?.limited ?? 0
}

@c @implementation
public func warden_policy_concerns(_ object: UnsafePointer<WardenObject>, _ classes: WardenClasses) -> Bool {
  unsafe policies.inForce?.concerns(ObjectFacts(object), classes) ?? true
}

@c @implementation
public func warden_policy_names(
  _ object: UnsafePointer<WardenObject>, _ classes: WardenClasses, _ bySchema: Bool
) -> Bool {
  unsafe policies.inForce?.names(ObjectFacts(object), classes, bySchema: bySchema) ?? true
}

@c @implementation
public func warden_policy_unconcerned(_ object: UnsafePointer<WardenObject>) -> WardenClasses {
  unsafe policies.inForce?.unconcerned(ObjectFacts(object)) ?? 0
}

@c @implementation
public func warden_object_hashes(_ object: UnsafeMutablePointer<WardenObject>) {
  let name = unsafe ObjectName(TextView(object.pointee.name))
  unsafe object.pointee.name_hash = NameTable.hash(name)
  guard let schema = unsafe name.schema(isItself: object.pointee.catalog == Catalog.schema) else { return }
  unsafe object.pointee.schema_hash = NameTable.hash(schema)
}

@c @implementation
public func warden_class_named(_ name: WardenText) -> WardenClasses {
  unsafe StatementClass.named(TextView(name)) ?? 0
}

@c @implementation
public func warden_policy_begin() {
  unsafe policies.guards = []
  unsafe policies.exemptions = []
  unsafe policies.labels = []
  unsafe policies.isLoading = true
}

@c @implementation
public func warden_policy_add_guard(
  _ guard: UnsafePointer<WardenGuard>, _ texts: UnsafeMutablePointer<WardenBuffer>,
  _ verdict: UnsafeMutablePointer<WardenVerdict>
) -> Bool {
  do throws(PolicyError) {
    let row = try unsafe Guard(GuardRow(`guard`), atDefinition: false)
    unsafe policies.guards.append(row)
    return unsafe accept(texts, verdict)
  } catch {
    unsafe policies.isLoading = false
    return unsafe refuse(error, texts, verdict)
  }
}

@c @implementation
public func warden_policy_add_exemption(
  _ exemption: UnsafePointer<WardenExemption>, _ texts: UnsafeMutablePointer<WardenBuffer>,
  _ verdict: UnsafeMutablePointer<WardenVerdict>
) -> Bool {
  do throws(PolicyError) {
    let row = try unsafe Exemption(ExemptionRow(exemption), atDefinition: false)
    unsafe policies.exemptions.append(row)
    return unsafe accept(texts, verdict)
  } catch {
    unsafe policies.isLoading = false
    return unsafe refuse(error, texts, verdict)
  }
}

@c @implementation
public func warden_policy_add_label(_ label: WardenText) -> Int32 {
  unsafe policies.labels.append(TextView(label).copy)
  return unsafe Int32(truncatingIfNeeded: policies.labels.count &- 1)
}

/// A commit without begin, or after a row was refused, leaves no policy in force: part of one is not what was asked.
@c @implementation
public func warden_policy_commit() {
  let isComplete = unsafe policies.isLoading
  let index =
    unsafe isComplete
    ? PolicyIndex(guards: policies.guards, exemptions: policies.exemptions, labels: policies.labels) : nil
  unsafe policies = Policies(inForce: index, guards: [], exemptions: [], labels: [], isLoading: false)
}

@c @implementation
public func warden_policy_discard() {
  unsafe policies = Policies(inForce: nil, guards: [], exemptions: [], labels: [], isLoading: false)
}

@c @implementation
public func warden_guard_check(
  _ guard: UnsafePointer<WardenGuard>, _ texts: UnsafeMutablePointer<WardenBuffer>,
  _ verdict: UnsafeMutablePointer<WardenVerdict>
) -> Bool {
  do throws(PolicyError) {
    let row = try unsafe Guard(GuardRow(`guard`), atDefinition: true)
    return unsafe accept(row.subjects + row.reviewers, texts, verdict)
  } catch {
    return unsafe refuse(error, texts, verdict)
  }
}

@c @implementation
public func warden_exemption_check(
  _ exemption: UnsafePointer<WardenExemption>, _ texts: UnsafeMutablePointer<WardenBuffer>,
  _ verdict: UnsafeMutablePointer<WardenVerdict>
) -> Bool {
  do throws(PolicyError) {
    let row = try unsafe Exemption(ExemptionRow(exemption), atDefinition: true)
    return unsafe accept(row.subjects, texts, verdict)
  } catch {
    return unsafe refuse(error, texts, verdict)
  }
}

@c @implementation
public func warden_label_check(
  _ label: WardenText, _ texts: UnsafeMutablePointer<WardenBuffer>, _ verdict: UnsafeMutablePointer<WardenVerdict>
) -> Bool {
  let text = unsafe TextView(label)
  if ColumnLabel.isLabel(text.copy) { return unsafe accept(texts, verdict) }
  let error = PolicyError(
    .invalidParameter, "invalid label", text,
    hint: """
      A label is lower-case words of letters, digits and underscores with dots between them, such as pii.email; \
      63 bytes at most.
      """)
  return unsafe refuse(error, texts, verdict)
}

@c @implementation
public func warden_masked_columns(
  _ session: UnsafePointer<WardenSession>, _ relation: UnsafePointer<WardenObject>, _ owner: Bool, _ now: Int64,
  _ columns: UnsafePointer<Int16>, _ count: Int64, _ masked: UnsafeMutablePointer<Bool>
) -> Int64 {
  let subject = unsafe SessionFacts(session)
  let object = unsafe ObjectFacts(relation)
  let seesAll = owner || subject.isSuperuser
  let exemptions = seesAll ? [] : unsafe policies.inForce?.exemptions.filter { $0.isFor(subject, at: now) } ?? []
  var total: Int64 = 0
  var index = 0
  for column in unsafe Lent(columns, count: count) {
    let isMasked = !seesAll && !exemptions.contains { $0.covers(object, column: column) }
    unsafe masked[index] = isMasked
    if isMasked { total &+= 1 }
    index &+= 1
  }
  return total
}

@c @implementation
public func warden_mask_exemptions(
  _ relation: UnsafePointer<WardenObject>, _ column: Int16, _ now: Int64, _ ids: UnsafeMutablePointer<Int64>,
  _ room: Int64
) -> Int64 {
  let object = unsafe ObjectFacts(relation)
  var count: Int64 = 0
  for exemption in unsafe policies.inForce?.exemptions ?? []
  where exemption.isActive(at: now) && exemption.covers(object, column: column) {
    if count < room { unsafe ids[Int(truncatingIfNeeded: count)] = exemption.id }
    count &+= 1
  }
  return count
}

@c @implementation
public func warden_masked_write(
  _ relation: UnsafePointer<WardenObject>, _ column: Int16, _ why: WardenMaskedWrite, _ hidden: Bool,
  _ texts: UnsafeMutablePointer<WardenBuffer>, _ verdict: UnsafeMutablePointer<WardenVerdict>
) {
  let refusal = unsafe MaskedWrite.refusal(why, hidden ? nil : ObjectFacts(relation), column: column)
  unsafe deliver(refusal, texts, verdict)
}

/// The verdict on most statements, with no words to be found.
func allow(
  isMasked: Bool, rowsLeft: Int64 = 0, _ texts: UnsafeMutablePointer<WardenBuffer>,
  _ verdict: UnsafeMutablePointer<WardenVerdict>
) {
  unsafe texts.pointee.length = 0
  unsafe verdict.pointee = WardenVerdict()
  unsafe verdict.pointee.decision = isMasked ? WARDEN_DECISION_MASKED : WARDEN_DECISION_ALLOWED
  unsafe verdict.pointee.rows_left = rowsLeft
}

/// Nothing to complain of.
private func accept(
  _ texts: UnsafeMutablePointer<WardenBuffer>, _ verdict: UnsafeMutablePointer<WardenVerdict>
) -> Bool {
  unsafe allow(isMasked: false, texts, verdict)
  return true
}

/// Nothing to complain of, but perhaps something to say: of subjects that match nobody.
private func accept(
  _ subjects: [SubjectPattern], _ texts: UnsafeMutablePointer<WardenBuffer>,
  _ verdict: UnsafeMutablePointer<WardenVerdict>
) -> Bool {
  guard subjects.contains(where: { $0.needsIdentity }) else { return unsafe accept(texts, verdict) }
  unsafe deliver(Refusal.needsIdentity(), texts, verdict)
  return true
}

/// Gives C the error to raise; also for masks.
func refuse(
  _ error: PolicyError, _ texts: UnsafeMutablePointer<WardenBuffer>, _ verdict: UnsafeMutablePointer<WardenVerdict>
) -> Bool {
  unsafe deliver(Refusal.verdict(error), texts, verdict)
  return false
}

/// Writes the verdict as C takes it. English first: what of the rest finds no room is not translated.
func deliver(
  _ result: Verdict, _ texts: UnsafeMutablePointer<WardenBuffer>, _ verdict: UnsafeMutablePointer<WardenVerdict>
) {
  var writer = unsafe TextWriter(texts)
  let guardName = writer.write(result.guardName)
  let message = writer.write(result.message?.english)
  let detail = writer.write(result.detail?.english)
  let hint = writer.write(result.hint?.english)
  let messageParts = writer.writeWhole(result.message?.parts)
  let detailParts = writer.writeWhole(result.detail?.parts)
  let hintParts = writer.writeWhole(result.hint?.parts)
  let chain = writer.write(result.chain)
  unsafe writer.finish(texts)
  unsafe verdict.pointee = unsafe WardenVerdict(
    action: result.action, decision: result.decision, sqlstate: (0, 0, 0, 0, 0, 0, 0, 0),
    guard: writer.text(guardName), message: writer.text(message), detail: writer.text(detail),
    hint: writer.text(hint), message_parts: writer.text(messageParts), detail_parts: writer.text(detailParts),
    hint_parts: writer.text(hintParts), chain: writer.text(chain), rows_left: result.rowsLeft,
    object: result.object?.address)
  guard let state = result.state else { return }
  unsafe withUnsafeMutableBytes(of: &verdict.pointee.sqlstate) { room in
    state.code.withUTF8Buffer { code in unsafe room.copyBytes(from: code.prefix(5)) }
  }
}
