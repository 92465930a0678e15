/// What goes wrong with a camera that exists.
public enum CameraTrouble: Sendable, Equatable { case inUse, background, hot, lost, failed }

/// Whether the app may use the camera.
public enum Permission: Sendable, Equatable { case granted, missing, deniedForGood }

/// The model in use.
public struct ModelFacts: Sendable, Equatable {
    public let name: String
    public let candidate: Candidate
    public let why: String
    public let choices: [Candidate]
    public var notices: [String]  // why another model than wanted runs, which ones are damaged, …

    public init(_ model: ChosenModel) {
        name = model.bundle.manifest.name
        candidate = model.candidate
        why = model.why
        choices = model.choices
        notices = [model.fallback].compactMap { $0 } + model.notices
    }
}

/// A report that lies in the reports folder.
public struct WrittenReport: Sendable, Equatable {
    public let path: String
    public let medianMs: Double
    public let p99Ms: Double

    public init(path: String, medianMs: Double, p99Ms: Double) {
        self.path = path
        self.medianMs = medianMs
        self.p99Ms = p99Ms
    }
}

/// What is under way before there is a model.
public enum Step: Sendable, Equatable {
    case opening
    case trying(Candidate, number: Int, of: Int)
    case loading(Candidate)
}

/// What the screen shows; made by `LiveFacts` alone.
public enum UiState: Sendable, Equatable {
    case starting(Step)
    case bundleProblem(String)  // why no bundle can be used and what to do
    case needsPermission(ModelFacts, deniedForGood: Bool)
    case noCamera(ModelFacts)
    case cameraLost(ModelFacts, CameraTrouble)
    case running(ModelFacts, Figures?, history: [Event])  // figures are nil before the first frame
    case benchmarking(ModelFacts, share: Double)
    case benchmarkDone(ModelFacts, WrittenReport)

    public var model: ModelFacts? {
        switch self {
        case .starting, .bundleProblem: nil
        case .needsPermission(let model, _), .noCamera(let model), .cameraLost(let model, _),
            .running(let model, _, _), .benchmarking(let model, _), .benchmarkDone(let model, _):
            model
        }
    }
}

/// All that is known about model, camera and measurement; one state for the screen follows from it.
public struct LiveFacts: Sendable, Equatable {
    public var foreground = false
    public var permission = Permission.missing
    public var step = Step.opening
    public var model: ModelFacts?
    public var problem: String?
    public var cameraExists = true
    public var trouble: CameraTrouble?
    public var figures: Figures?
    public private(set) var history: [Event] = []  // the latest first
    public var share: Double?  // of the measurement that runs
    public var report: WrittenReport?

    private static let shown = 20  // gestures of the past

    public init() {}

    public mutating func remember(_ event: Event) {
        history.insert(event, at: 0)
        if history.count > Self.shown { history.removeLast() }
    }

    /// The camera is open exactly while this holds. Trouble of a camera that the system interrupts ends by
    /// itself, so that the session stays; one that failed is closed.
    public var wantsCamera: Bool {
        foreground && model != nil && problem == nil && share == nil && report == nil
            && permission == .granted
            && cameraExists && trouble != .failed && trouble != .lost
    }

    public var state: UiState {
        if let problem { return .bundleProblem(problem) }
        guard let model else { return .starting(step) }
        if let share { return .benchmarking(model, share: share) }
        if let report { return .benchmarkDone(model, report) }
        if !cameraExists { return .noCamera(model) }
        if permission != .granted {
            return .needsPermission(model, deniedForGood: permission == .deniedForGood)
        }
        if let trouble { return .cameraLost(model, trouble) }
        return .running(model, figures, history: history)
    }
}
