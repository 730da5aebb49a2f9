import Contract

/// What flows from a column into a copy, and which mask the copy gets for it.
///
/// The value itself, wherever it is put, is masked as it was. What is computed of it may show more than its mask does,
/// and nothing is known of its form: it is redacted. A question that is answered yes or no tells what its author wanted
/// to know, as a condition does that chooses rows, and nothing beyond; it carries nothing, unless the value is a yes or
/// no itself. Counting tells nothing of any value.
enum Lineage {
  static func through(_ flow: WardenFlow, _ passage: WardenPassage) -> WardenFlow {
    switch passage {
    case WARDEN_PASSAGE_VALUE: flow
    case WARDEN_PASSAGE_WORK: weaker(flow, WARDEN_FLOW_CHANGED)
    case WARDEN_PASSAGE_TEST: weaker(flow, WARDEN_FLOW_TESTED)
    case WARDEN_PASSAGE_COUNT: WARDEN_FLOW_NONE
    // A step that nobody knows may do anything but keep the value what it is.
    default: weaker(flow, WARDEN_FLOW_CHANGED)
    }
  }

  static func from(_ flow: WardenFlow, isBoolean: Bool) -> WardenFlow {
    guard flow == WARDEN_FLOW_TESTED else { return flow }
    return isBoolean ? WARDEN_FLOW_CHANGED : WARDEN_FLOW_NONE
  }

  private static func weaker(_ one: WardenFlow, _ other: WardenFlow) -> WardenFlow {
    one.rawValue < other.rawValue ? one : other
  }
}

/// The mask of a column that holds values of others.
enum DerivedMask: Equatable {
  case none
  case redact
  /// As the source of this index is masked.
  case ofSource(Int)

  /// A source with the mask that it has.
  struct Source {
    let flow: WardenFlow
    let method: TextView
    let options: TextView

    func isMasked(as other: Source) -> Bool {
      method.equals(other.method.copy) && options.equals(other.options.copy)
    }
  }

  /// All sources have to be there as they are, under one mask: else nothing that shows a part is right for all of them.
  init(of sources: [Source]) {
    var first: Source?
    var index = 0
    var chosen = DerivedMask.none
    for source in sources {
      defer { index &+= 1 }
      guard source.flow != WARDEN_FLOW_NONE else { continue }
      guard source.flow == WARDEN_FLOW_WHOLE else {
        self = .redact
        return
      }
      guard let first else {
        first = source
        chosen = .ofSource(index)
        continue
      }
      guard source.isMasked(as: first) else {
        self = .redact
        return
      }
    }
    self = chosen
  }
}
