import AVFoundation
import Recognizer
import os

/// A camera's picture on its way to the pipeline. Nobody writes into a delivered buffer.
struct CameraFrame: @unchecked Sendable {
    let pixels: CVPixelBuffer
    let seconds: Double
    let rotation: Int  // degrees that turn it clockwise until it stands upright; it is never mirrored
}

/// The session and the device for the preview, which is made on the main thread. AVFoundation allows that.
final class PreviewSource: @unchecked Sendable {
    let session = AVCaptureSession()
    let device = CameraController.front

    /// Whether the preview is a mirror.
    var isFront: Bool { device?.position == .front }
}

/// The front camera, else the back one, on a queue of its own.
///
/// Frames are 420f and neither turned nor mirrored by AVFoundation; how far they have to be turned goes with
/// each of them, as the rotation coordinator says it at that time.
actor CameraController {
    enum Event: Sendable {
        case trouble(CameraTrouble)
        case over, missing
    }

    nonisolated let preview = PreviewSource()
    /// The newest frame alone: one that comes while the model is busy takes the place of the one before it.
    nonisolated let frames: FrameSource
    nonisolated let events: AsyncStream<Event>

    private let queue = DispatchSerialQueue(label: "camera", qos: .userInteractive)
    private let told: AsyncStream<Event>.Continuation
    private let output = AVCaptureVideoDataOutput()
    private let tap: FrameTap
    private var coordinator: AVCaptureDevice.RotationCoordinator?
    private var turning: NSKeyValueObservation?
    private var observers: [any NSObjectProtocol] = []
    private var configured = false

    nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

    init() {
        (events, told) = AsyncStream.makeStream()
        frames = FrameSource()
        tap = FrameTap(frames)
    }

    static var front: AVCaptureDevice? {
        AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .front)
            ?? AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back)
    }

    static var exists: Bool { front != nil }

    /// What the system says, after it has asked the person if it has not before and `asking` says so.
    static func permission(asking: Bool) async -> Permission {
        switch AVCaptureDevice.authorizationStatus(for: .video) {
        case .authorized: return .granted
        case .notDetermined:
            guard asking else { return .missing }
            return await AVCaptureDevice.requestAccess(for: .video) ? .granted : .deniedForGood
        case .denied, .restricted: return .deniedForGood
        @unknown default: return .deniedForGood
        }
    }

    /// Opens the camera, if there is one; what comes of it, `events` tells.
    func open() {
        let session = preview.session
        do {
            if !configured { try configure(session) }
        } catch {
            told.yield(.trouble(.failed))
            return
        }
        guard configured else { return }
        frames.begin()
        if !session.isRunning { session.startRunning() }
    }

    /// Closes it, if it is open.
    func close() {
        if preview.session.isRunning { preview.session.stopRunning() }
        frames.end()
    }

    private func configure(_ session: AVCaptureSession) throws {
        guard let device = preview.device else {
            told.yield(.missing)
            return
        }
        let input = try AVCaptureDeviceInput(device: device)
        session.beginConfiguration()
        // No `defer`: it ends the compiler of Swift 6.0 in an actor.
        let fits = connect(session, input)
        session.commitConfiguration()
        guard fits else { throw PictureError("the camera takes neither input nor output") }
        follow(device)
        observe(session)
        configured = true
    }

    private func connect(_ session: AVCaptureSession, _ input: AVCaptureDeviceInput) -> Bool {
        // The model shrinks its pictures to a hundred pixels or two: more would be memory traffic.
        if session.canSetSessionPreset(.vga640x480) { session.sessionPreset = .vga640x480 }
        guard session.canAddInput(input), session.canAddOutput(output) else { return false }
        session.addInput(input)
        output.alwaysDiscardsLateVideoFrames = true
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
        ]
        output.setSampleBufferDelegate(tap, queue: queue)
        session.addOutput(output)
        if let connection = output.connection(with: .video) {
            // In this order: to set the mirroring while it adjusts itself throws.
            connection.automaticallyAdjustsVideoMirroring = false
            if connection.isVideoMirroringSupported { connection.isVideoMirrored = false }
            if connection.isVideoRotationAngleSupported(0) { connection.videoRotationAngle = 0 }
        }
        return true
    }

    private func follow(_ device: AVCaptureDevice) {
        let coordinator = AVCaptureDevice.RotationCoordinator(device: device, previewLayer: nil)
        let frames = self.frames
        turning = coordinator.observe(
            \.videoRotationAngleForHorizonLevelCapture, options: [.initial, .new]
        ) { _, change in
            if let angle = change.newValue { frames.turn(to: angle) }
        }
        self.coordinator = coordinator
    }

    private func observe(_ session: AVCaptureSession) {
        let told = self.told
        func on(
            _ name: Notification.Name, of object: AnyObject?,
            _ event: @escaping @Sendable (Notification) -> Event
        ) {
            observers.append(
                NotificationCenter.default.addObserver(forName: name, object: object, queue: nil) { note in
                    told.yield(event(note))
                })
        }
        on(AVCaptureSession.wasInterruptedNotification, of: session) {
            .trouble(CameraController.trouble($0))
        }
        on(AVCaptureSession.interruptionEndedNotification, of: session) { _ in .over }
        on(AVCaptureSession.runtimeErrorNotification, of: session) { _ in .trouble(.failed) }
        on(AVCaptureDevice.wasDisconnectedNotification, of: preview.device) { _ in .trouble(.lost) }
    }

    private static func trouble(_ note: Notification) -> CameraTrouble {
        let number = note.userInfo?[AVCaptureSessionInterruptionReasonKey] as? Int
        switch number.flatMap(AVCaptureSession.InterruptionReason.init(rawValue:)) {
        case .videoDeviceInUseByAnotherClient, .videoDeviceNotAvailableWithMultipleForegroundApps:
            return .inUse
        case .videoDeviceNotAvailableInBackground: return .background
        case .videoDeviceNotAvailableDueToSystemPressure: return .hot
        default: return .inUse
        }
    }
}

/// Frames from the camera's queue to the pipeline's, at most one of them waiting.
final class FrameSource: Sendable {
    private struct State {
        var rotation = 0
        var dropped = 0
        var camera = RateMeter()
        var open = false
    }

    let stream: AsyncStream<CameraFrame>
    private let continuation: AsyncStream<CameraFrame>.Continuation
    private let state = OSAllocatedUnfairLock(initialState: State())

    init() { (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    /// Frames that were lost: AVFoundation's, those that waited in vain and those that could not be read.
    var dropped: Int { state.withLock { $0.dropped } }

    /// Frames a second that the camera delivers.
    var rate: Double { state.withLock { $0.camera.rate } }

    func begin() { state.withLock { $0.open = true } }

    func end() { state.withLock { $0.open = false } }

    /// Whether frames are wanted: one that was on its way when the camera closed is not.
    var isOpen: Bool { state.withLock { $0.open } }

    /// The coordinator gives multiples of 90; anything else goes to the nearest.
    func turn(to degrees: CGFloat) {
        let quarters = Int((degrees / 90).rounded())
        state.withLock { $0.rotation = (quarters % 4 + 4) % 4 * 90 }
    }

    func offer(_ pixels: CVPixelBuffer, seconds: Double) {
        let rotation = state.withLock {
            $0.camera.add(seconds)
            return $0.rotation
        }
        let result = continuation.yield(CameraFrame(pixels: pixels, seconds: seconds, rotation: rotation))
        if case .dropped = result { drop() }
    }

    func drop() { state.withLock { $0.dropped += 1 } }
}

/// What AVFoundation calls, on the camera's queue; it must be a class.
private final class FrameTap: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate, Sendable {
    private let frames: FrameSource

    init(_ frames: FrameSource) { self.frames = frames }

    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
        from connection: AVCaptureConnection
    ) {
        guard let pixels = sampleBuffer.imageBuffer else { return }
        frames.offer(pixels, seconds: sampleBuffer.presentationTimeStamp.seconds)
    }

    func captureOutput(
        _ output: AVCaptureOutput, didDrop sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection
    ) {
        frames.drop()
    }
}
