/// How a string found in JSON is masked.
enum JSONMethod {
  case redact, null, email, last4, scrub

  var name: StaticString {
    switch self {
    case .redact: "redact"
    case .null: "null"
    case .email: "email"
    case .last4: "last4"
    case .scrub: "scrub"
    }
  }

  static let all: [JSONMethod] = [.redact, .null, .email, .last4, .scrub]

  /// Of two that a value has, the one that shows less, then the one that came first.
  func joined(with other: JSONMethod?) -> JSONMethod {
    switch other {
    case .redact: .redact
    case .null: self == .redact ? .redact : .null
    default: self
    }
  }
}

/// Which members of a JSON value are masked, and how: the lines of a plan, compiled.
///
/// A path is followed in any number of places at once, so that a value is read a single time; a set of steps tells how
/// far each path has come. As in the lax mode of SQL/JSON paths, arrays that a path does not mention are walked through,
/// and [*] or [0] of what is no array is the value itself: the shape of a value never lets it through.
struct JSONPlan {
  enum Step {
    /// A member of this name.
    case key(ByteView)
    /// `*`: any member or element.
    case any
    /// `**`: any number of levels, also none.
    case anyDepth
    /// `[*]`
    case elements
    /// `[7]`
    case element(Int)
    /// What has come here is masked.
    case end(JSONMethod)
  }

  /// The most steps of all paths together.
  static let mostSteps = 256

  private var steps: [Step] = []
  /// Where the paths begin.
  private(set) var start = JSONSteps()

  /// nil where a line is no rule, or where there is none, or too much.
  init?(_ plan: ByteView) {
    var index = 0
    while index < plan.count {
      var end = index
      while end < plan.count, plan[end] != 0x0A { end &+= 1 }
      guard addRule(plan.slice(index, end)) else { return nil }
      index = end &+ 1
    }
    guard !steps.isEmpty, steps.count <= JSONPlan.mostSteps else { return nil }
  }

  private mutating func addRule(_ line: ByteView) -> Bool {
    for method in JSONMethod.all where line.hasBytes(method.name, at: 0) && line[method.name.utf8CodeUnitCount] == 0x20
    {
      let first = steps.count
      guard addPath(line.slice(method.name.utf8CodeUnitCount &+ 1, line.count)) else { return false }
      steps.append(.end(method))
      guard steps.count <= JSONPlan.mostSteps else { return false }
      start.insert(first)
      return true
    }
    return false
  }

  /// `$.card.number`, `contacts[*].phone`, `**.email`, `"odd.name"[3]`.
  private mutating func addPath(_ path: ByteView) -> Bool {
    var index = path[0] == 0x24 && (path.count == 1 || path[1] == 0x2E || path[1] == 0x5B) ? 1 : 0
    guard path.count > 0 else { return false }
    while index < path.count {
      let taken: Bool
      if path[index] == 0x5B {
        taken = addSubscript(path, &index)
      } else {
        if path[index] == 0x2E {
          index &+= 1
        } else if index > 0 {
          return false
        }
        taken = addName(path, &index)
      }
      guard taken else { return false }
    }
    return true
  }

  private mutating func addName(_ path: ByteView, _ index: inout Int) -> Bool {
    let first = index
    if path[first] == 0x22 {
      index &+= 1
      while index < path.count, path[index] != 0x22 { index &+= 1 }
      guard index < path.count else { return false }
      index &+= 1
      steps.append(.key(path.slice(first &+ 1, index &- 1)))
      return true
    }
    while index < path.count, path[index] != 0x2E, path[index] != 0x5B {
      guard path[index] != 0x22, path[index] != 0x5D, path[index] >= 0x20 else { return false }
      index &+= 1
    }
    let name = path.slice(first, index)
    guard name.count > 0 else { return false }
    steps.append(name.isEqual(to: ByteView("**")) ? .anyDepth : name.isEqual(to: ByteView("*")) ? .any : .key(name))
    return true
  }

  private mutating func addSubscript(_ path: ByteView, _ index: inout Int) -> Bool {
    index &+= 1
    let first = index
    while index < path.count, path[index] != 0x5D { index &+= 1 }
    let inside = path.slice(first, index)
    guard index < path.count, inside.count > 0, inside.count <= 9 else { return false }
    index &+= 1
    if inside.isEqual(to: ByteView("*")) {
      steps.append(.elements)
      return true
    }
    var number = 0
    for offset in 0..<inside.count {
      guard ScrubBytes.isDigit(inside[offset]) else { return false }
      number = number &* 10 &+ Int(inside[offset] & 15)
    }
    steps.append(.element(number))
    return true
  }

  private func step(_ index: Int) -> Step? { index < steps.count ? steps[index] : nil }

  // MARK: Following

  /// Steps that need no further name or element: at a value, where they lead; and how it is masked, nil: not.
  func arrive(_ set: JSONSteps, isArray: Bool) -> (set: JSONSteps, method: JSONMethod?) {
    var arrived = set
    var method: JSONMethod?
    var index = arrived.first(from: 0)
    // In order: what a step leads to comes behind it.
    while let current = index {
      switch step(current) {
      case .anyDepth: arrived.insert(current &+ 1)
      case .elements where !isArray: arrived.insert(current &+ 1)
      case .element(0) where !isArray: arrived.insert(current &+ 1)
      case .end(let end): method = method?.joined(with: end) ?? end
      default: break
      }
      index = arrived.first(from: current &+ 1)
    }
    return (arrived, method)
  }

  /// Into the member whose name `isName` recognises.
  func member(of set: JSONSteps, _ isName: (ByteView) -> Bool) -> JSONSteps {
    var next = JSONSteps()
    var index = set.first(from: 0)
    while let current = index {
      switch step(current) {
      case .key(let name): if isName(name) { next.insert(current &+ 1) }
      case .any: next.insert(current &+ 1)
      case .anyDepth: next.insert(current)
      default: break
      }
      index = set.first(from: current &+ 1)
    }
    return next
  }

  /// Into the element with this number.
  func element(of set: JSONSteps, _ number: Int) -> JSONSteps {
    var next = JSONSteps()
    var index = set.first(from: 0)
    while let current = index {
      switch step(current) {
      case .key, .anyDepth: next.insert(current)
      case .any:
        next.insert(current)
        next.insert(current &+ 1)
      case .elements: next.insert(current &+ 1)
      case .element(let wanted): if wanted == number { next.insert(current &+ 1) }
      default: break
      }
      index = set.first(from: current &+ 1)
    }
    return next
  }
}

/// A set of steps of a plan.
struct JSONSteps {
  private var words = SIMD4<UInt64>()

  var isEmpty: Bool { words == SIMD4<UInt64>() }

  /// What is no step of a plan is left out.
  mutating func insert(_ step: Int) {
    guard step >= 0, step < JSONPlan.mostSteps else { return }
    words[(step >> 6) & 3] |= 1 << UInt64(step & 63)
  }

  /// The first step that is not before `start`.
  func first(from start: Int) -> Int? {
    var word = start >> 6
    var bits = word < 4 ? words[word & 3] & (UInt64.max << UInt64(start & 63)) : 0
    while bits == 0 {
      word &+= 1
      guard word < 4 else { return nil }
      bits = words[word & 3]
    }
    return word &* 64 &+ bits.trailingZeroBitCount
  }
}
