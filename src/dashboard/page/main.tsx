// Starts the page.
import { render } from 'preact'
import { App } from './app.tsx'
import { follow } from './store.ts'
import { startTheme } from './theme.tsx'

startTheme()
void follow()
render(<App />, document.body)
