import Contract

/// An entry of `subjects => '{…}'`.
enum SubjectPattern {
  /// `*`
  case everyone
  /// `role:NAME`; 0 where the role does not exist (any more), which matches nobody
  case role(UInt32)
  /// `application:GLOB`
  case application([UInt8])
  /// `anonymous`: no verified identity
  case anonymous
  /// `identity:GLOB`, of a verified identity
  case identity([UInt8])
  /// `group:GLOB`, one of a verified identity's groups
  case group([UInt8])
  /// `agent:GLOB`, an agent by its verified identity; what a session claims to be does not count
  case agent([UInt8])
  /// `role:support & application:helpdesk`: who matches every one of them
  case all([SubjectPattern])

  init(_ row: SubjectRow) throws(PolicyError) {
    guard row.parts.isEmpty else {
      var parts: [SubjectPattern] = []
      for part in row.parts { parts.append(try SubjectPattern(part)) }
      self = .all(parts)
      return
    }
    let text = row.text.copy
    if text == [UInt8]("*") {
      self = .everyone
    } else if text == [UInt8]("anonymous") {
      self = .anonymous
    } else if SubjectPattern.rest(of: text, after: "role:") != nil {
      self = .role(row.role)
    } else if let glob = SubjectPattern.rest(of: text, after: "application:") {
      self = .application(glob)
    } else if let glob = SubjectPattern.rest(of: text, after: "identity:") {
      self = .identity(glob)
    } else if let glob = SubjectPattern.rest(of: text, after: "group:") {
      self = .group(glob)
    } else if let glob = SubjectPattern.rest(of: text, after: "agent:") {
      self = .agent(glob)
    } else {
      throw PolicyError(
        .invalidParameter, "invalid subject", row.text,
        hint: """
          Accepted: *, role:NAME, identity:GLOB, group:GLOB, agent:GLOB, application:GLOB, anonymous; \
          several joined by ' & ' for who matches all of them.
          """)
    }
  }

  /// Whether the pattern is for the session. `asUser`: membership of the session's user counts like that of its
  /// role. So it is for what restricts; what permits must not be smuggled in by SET ROLE's other end.
  func matches(_ session: SessionFacts, asUser: Bool) -> Bool {
    switch self {
    case .everyone:
      return true
    case .anonymous:
      return session.identity.isNull
    case .application(let glob):
      return Glob.matches(glob, session.application)
    case .identity(let glob):
      return !session.identity.isNull && Glob.matches(glob, session.identity)
    case .group, .agent:
      // Sessions have no verified identity yet whose groups and agent could be told.
      return false
    case .role(let role):
      guard role != 0 else { return false }
      for member in session.roleMemberships where member == role { return true }
      guard asUser else { return false }
      for member in session.userMemberships where member == role { return true }
      return false
    case .all(let parts):
      for part in parts where !part.matches(session, asUser: asUser) { return false }
      return true
    }
  }

  /// It names a role, alone or among others, that there is none of.
  var hasMissingRole: Bool {
    switch self {
    case .role(0): true
    case .all(let parts): parts.contains { $0.hasMissingRole }
    default: false
    }
  }

  /// What it says is proven, if only in part: an application's name is a claim that every session may make.
  var isProven: Bool {
    switch self {
    case .everyone, .role, .identity, .group, .agent: true
    case .application, .anonymous: false
    // With * nothing is proven that the others leave open.
    case .all(let parts): parts.contains { if case .everyone = $0 { false } else { $0.isProven } }
    }
  }

  /// The role of a `role:NAME` that exists.
  var role: UInt32? {
    if case .role(let role) = self, role != 0 { return role }
    return nil
  }

  /// Matches nobody as long as sessions cannot sign in.
  var needsIdentity: Bool {
    switch self {
    case .identity, .group, .agent: true
    case .all(let parts): parts.contains { $0.needsIdentity }
    default: false
    }
  }

  /// What follows a prefix; nil where the text does not begin so, or nothing follows.
  private static func rest(of text: [UInt8], after prefix: StaticString) -> [UInt8]? {
    let prefix = [UInt8](prefix)
    guard text.starts(with: prefix), text.count > prefix.count else { return nil }
    return Array(text.dropFirst(prefix.count))
  }
}

/// Patterns with `*` (any bytes) and `?` (one character).
enum Glob {
  /// Goes back to the last star only, so that the work is bounded by the product of both lengths.
  static func matches(_ glob: [UInt8], _ text: TextView) -> Bool {
    var rest = glob[...]
    var position = 0
    var retry: (rest: ArraySlice<UInt8>, position: Int)?
    while true {
      if rest.first == 42 {
        rest = rest.dropFirst()
        retry = (rest, position)
      } else if let byte = text.bytes.element(at: position), let wanted = rest.first,
        wanted == byte || wanted == 63
      {
        rest = rest.dropFirst()
        position = wanted == 63 ? afterCharacter(text, position) : position &+ 1
      } else if rest.isEmpty, position >= text.count {
        return true
      } else if let last = retry, last.position < text.count {
        rest = last.rest
        position = last.position &+ 1
        retry = (rest, position)
      } else {
        return false
      }
    }
  }

  private static func afterCharacter(_ text: TextView, _ position: Int) -> Int {
    var next = position &+ 1
    while let byte = text.bytes.element(at: next), byte & 0xC0 == 0x80 { next &+= 1 }
    return next
  }
}
